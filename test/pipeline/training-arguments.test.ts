/** Arguments of fit that steer training or tell of it: schedules, steps, yielding, progress, losses that are no numbers. */
import * as tf from '@tensorflow/tfjs';
import type { FitArgs, LearningRateQuery, TrainerEvent } from 'millrace';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import {
  BACKENDS,
  CLASSES,
  compile,
  compiledClassifier,
  expectSameWeights,
  FEATURES,
  newClassifier,
  open,
  refusal,
  samples,
  weightsOf,
} from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const { x, y } = samples(40);
const args = { batchSize: 8, shuffle: false } as const satisfies FitArgs;

const setRate = (model: tf.LayersModel, rate: number): void => {
  (model.optimizer as tf.SGDOptimizer).setLearningRate(rate);
};

describe('learningRateSchedule', () => {
  const rateOf = ({ epoch, batch }: Pick<LearningRateQuery, 'epoch' | 'batch'>) => 0.2 / (1 + epoch + batch);

  it.each(BACKENDS)('trains as a plain callback that sets the rate does, on %s', async backend => {
    const plain = compiledClassifier();
    let epoch = 0;
    await plain.fit(x, y, {
      ...args,
      epochs: 2,
      verbose: 0,
      callbacks: {
        onEpochBegin: current => {
          epoch = current;
        },
        onBatchBegin: batch => setRate(plain, rateOf({ epoch, batch })),
      },
    });
    const model = compiledClassifier();
    const trainer = await open(model, { backend });
    await trainer.fit(x, y, { ...args, epochs: 2, learningRateSchedule: rateOf });
    expectSameWeights(weightsOf(model), weightsOf(plain));
    expect((model.optimizer as unknown as { learningRate: number }).learningRate).toBeCloseTo(0.2 / 6, 10);
  });

  it('is told epoch, batch, steps of the optimizer and the present rate', async () => {
    for (const optimizer of [tf.train.momentum(0.1, 0.9), tf.train.adamax(0.1)]) {
      const trainer = await open(compiledClassifier({ optimizer }));
      const queries: LearningRateQuery[] = [];
      const learningRateSchedule = (query: LearningRateQuery): number => {
        queries.push(query);
        return query.step / 1000;
      };
      const run = { ...args, batchSize: 20, epochs: 2, learningRateSchedule };
      await trainer.fit(x, y, run);
      await trainer.fit(x, y, { ...run, epochs: 1 });
      expect(queries.map(({ epoch, batch, step }) => [epoch, batch, step])).toEqual([
        [0, 0, 0],
        [0, 1, 1],
        [1, 0, 2],
        [1, 1, 3],
        [0, 0, 4],
        [0, 1, 5],
      ]);
      expect(queries.map(({ learningRate }) => learningRate)).toEqual([0.1, 0, 0.001, 0.002, 0.003, 0.004]);
    }
  });

  it('that throws makes fit reject with that very error, and the trainer works again', async () => {
    const model = compiledClassifier();
    const trainer = await open(model);
    const thrown = new Error('no rate today');
    const learningRateSchedule = ({ batch }: LearningRateQuery): number => {
      if (batch === 2) throw thrown;
      return 0.1;
    };
    expect(await refusal(() => trainer.fit(x, y, { ...args, learningRateSchedule }))).toBe(thrown);
    const twin = compiledClassifier();
    model.setWeights(twin.getWeights());
    compile(model);
    await trainer.fit(x, y, args);
    await twin.fit(x, y, { ...args, verbose: 0 });
    expectSameWeights(weightsOf(model), weightsOf(twin));
  });
});

describe('stepsPerEpoch and validationSteps', () => {
  it('take the first mini-batches of every epoch and of the validation data', async () => {
    const plain = compiledClassifier();
    const head = (tensor: tf.Tensor): tf.Tensor => tf.slice(tensor, 0, 24);
    const held = samples(20, 9);
    const expected = await plain.fit(head(x), head(y), {
      ...args,
      epochs: 2,
      verbose: 0,
      validationData: [tf.slice(held.x, 0, 16), tf.slice(held.y, 0, 16)],
    });
    const model = compiledClassifier();
    const actual = await (await open(model)).fit(x, y, {
      ...args,
      epochs: 2,
      stepsPerEpoch: 3,
      validationData: [held.x, held.y],
      validationSteps: 2,
    });
    expectSameWeights(weightsOf(model), weightsOf(plain));
    for (const [name, values] of Object.entries(expected.history)) {
      for (const [epoch, value] of values.entries())
        expect(actual.history[name]![epoch]).toBeCloseTo(value as number, 5);
    }
  });

  it('of a shuffled fit take other samples every epoch', async () => {
    const numbered = tf.tidy(() => tf.tile(tf.range(0, 40).expandDims(1), [1, FEATURES]));
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [FEATURES] })] });
    model.compile({ optimizer: tf.train.sgd(0), loss: 'meanSquaredError' });
    model.setWeights([tf.fill([FEATURES, 1], 1 / FEATURES), tf.zeros([1])]);
    const trainer = await open(model, { stages: 1, workers: 1 });
    const { history } = await trainer.fit(numbered, tf.zeros([40, 1]), {
      batchSize: 8,
      epochs: 6,
      stepsPerEpoch: 1,
    });
    expect(new Set(history['loss']).size).toBe(6);
  });
});

describe('yieldEvery', () => {
  it('may be anything that tfjs takes: the numbers are those of plain fit', async () => {
    const model = compiledClassifier();
    const trainer = await open(model);
    for (const yieldEvery of ['auto', 'batch', 'epoch', 'never', 0, 50] as const) {
      const plain = compiledClassifier();
      await plain.fit(x, y, { ...args, verbose: 0, yieldEvery });
      model.setWeights(newClassifier().getWeights());
      compile(model);
      await trainer.fit(x, y, { ...args, yieldEvery, callbacks: { onEpochEnd: () => {} } });
      expectSameWeights(weightsOf(model), weightsOf(plain));
    }
  });

  it('calls onYield at the same places with the same logs and weights as plain fit', async () => {
    const seen: unknown[][] = [[], []];
    const hooks = (model: tf.LayersModel, calls: unknown[]) => {
      // A clock that moves 10 ms at every look: what happens does not depend on the machine's speed.
      let now = 0;
      return {
        nowFunc: () => {
          now += 10;
          return now;
        },
        onYield: (epoch: number, batch: number, logs: tf.Logs) => {
          calls.push([epoch, batch, Object.keys(logs), weightsOf(model)[0]![0]!.toFixed(4)]);
        },
      };
    };
    const plain = compiledClassifier();
    await plain.fit(x, y, {
      ...args,
      epochs: 2,
      verbose: 0,
      yieldEvery: 25,
      callbacks: hooks(plain, seen[0]!),
    });
    const model = compiledClassifier();
    const trainer = await open(model);
    await trainer.fit(x, y, { ...args, epochs: 2, yieldEvery: 25, callbacks: hooks(model, seen[1]!) });
    expect(seen[0]!.length).toBeGreaterThan(1);
    expect(seen[1]).toEqual(seen[0]);
  });
});

describe('verbose', () => {
  const fitAndListen = async (verbose: FitArgs['verbose']): Promise<string> => {
    const trainer = await open(compiledClassifier());
    const written: string[] = [];
    const write = vi.spyOn(process.stderr, 'write').mockImplementation(chunk => {
      written.push(String(chunk));
      return true;
    });
    try {
      await trainer.fit(x, y, {
        ...args,
        epochs: 2,
        validationSplit: 0.2,
        ...(verbose === undefined ? {} : { verbose }),
      });
    } finally {
      write.mockRestore();
    }
    return written.join('');
  };

  it.each([undefined, 0] as const)('%s writes nothing', async verbose => {
    expect(await fitAndListen(verbose)).toBe('');
  });

  it.each([1, 2] as const)('%i writes a line an epoch where there is no terminal', async verbose => {
    const isTTY = process.stderr.isTTY;
    process.stderr.isTTY = verbose === 2;
    try {
      const lines = (await fitAndListen(verbose)).split('\n');
      expect(lines).toEqual([
        expect.stringMatching(/^epoch 1\/2 \| val_loss .* \| loss .* samples\/s/),
        expect.stringMatching(/^epoch 2\/2 \| val_loss .* \| loss .* samples\/s/),
        '',
      ]);
    } finally {
      process.stderr.isTTY = isTTY;
    }
  });
});

describe('a loss that is no number', () => {
  /** The third mini-batch of 8 has a NaN among its inputs. */
  const broken = (): tf.Tensor2D => {
    const data = x.dataSync().slice();
    data[17 * FEATURES] = Number.NaN;
    return tf.tensor2d(data, [40, FEATURES]);
  };

  const listen = (trainer: { events$: { subscribe(next: (event: TrainerEvent) => void): unknown } }) => {
    const events: TrainerEvent[] = [];
    trainer.events$.subscribe(event => events.push(event));
    return events;
  };

  it('is told once, with step, epoch and the stage that owns the loss', async () => {
    const trainer = await open(compiledClassifier());
    const events = listen(trainer);
    await trainer.fit(x, y, args);
    const { epoch } = await trainer.fit(broken(), y, { ...args, epochs: 2 });
    expect(epoch).toEqual([0, 1]);
    expect(events.filter(({ kind }) => kind === 'warning')).toEqual([
      {
        kind: 'warning',
        code: 'LOSS_NOT_FINITE',
        epoch: 0,
        batch: 2,
        step: 7,
        stage: 1,
        output: 'head',
        message: expect.stringMatching(
          /output 'head', which stage 1 computes, is NaN in step 7 \(batch 2 of epoch 0\)/,
        ),
      },
    ]);
  });

  it('of an output in an early stage names that stage', async () => {
    const input = tf.input({ shape: [FEATURES] });
    const early = tf.layers.dense({ units: CLASSES, name: 'early' }).apply(input) as tf.SymbolicTensor;
    const hidden = tf.layers.dense({ units: 4, name: 'hidden' }).apply(input) as tf.SymbolicTensor;
    const late = tf.layers.dense({ units: 1, name: 'late' }).apply(hidden) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: [early, late] });
    compile(model, { loss: 'meanSquaredError', metrics: [], optimizer: 'sgd' });
    const trainer = await open(model, { stages: 'auto', partition: ['late'] });
    const events = listen(trainer);
    const target = tf.tidy(() => tf.where(tf.greater(y, 0.5), Number.POSITIVE_INFINITY, y));
    await trainer.trainOnBatch(x, [target, tf.zeros([40, 1])]);
    expect(events.find(({ kind }) => kind === 'warning')).toMatchObject({
      stage: 0,
      output: 'early',
      step: 0,
    });
  });

  it('ends training after that batch if terminateOnNaN says so, and the trainer works again', async () => {
    for (const callbacks of [undefined, { onBatchEnd: () => {} }]) {
      const model = compiledClassifier();
      const trainer = await open(model);
      const events = listen(trainer);
      const { epoch, history } = await trainer.fit(broken(), y, {
        ...args,
        epochs: 3,
        terminateOnNaN: true,
        callbacks,
      });
      expect(epoch).toEqual([0]);
      expect(history['loss']).toEqual([Number.NaN]);
      // Without a callback that watches batches, one more may have been under way.
      const steps = events.filter(({ kind }) => kind === 'step').length;
      if (callbacks === undefined) expect([3, 4]).toContain(steps);
      else expect(steps).toBe(3);
      const twin = compiledClassifier();
      model.setWeights(newClassifier().getWeights());
      compile(model);
      await trainer.fit(x, y, { ...args, terminateOnNaN: true });
      await twin.fit(x, y, { ...args, verbose: 0 });
      expectSameWeights(weightsOf(model), weightsOf(twin));
    }
  });
});

describe('lossWeights', () => {
  const refused = (lossWeights: object) =>
    refusal(() => open(compiledClassifier(), { lossWeights } as never));

  it.each([
    [[1, 2], /list of 2, but the model has 1 output\(s\): head/],
    [{ tail: 1 }, /names 'tail'.*head/],
    [['1'], /takes a list with a number/],
  ])('%j are refused', async (lossWeights, message) => {
    const error = await refused(lossWeights);
    expect(error).toMatchObject({ name: 'ConfigurationError', path: 'lossWeights' });
    expect(error.message).toMatch(message);
  });
});

it('mini-batches of fewer samples than there are micro-batches train as in plain fit', async () => {
  for (const count of [1, 2, 3]) {
    const data = samples(count, 7);
    const plain = compiledClassifier();
    await plain.fit(data.x, data.y, { epochs: 2, shuffle: false, verbose: 0 });
    const model = compiledClassifier();
    const trainer = await open(model, { microBatches: 4 });
    await trainer.fit(data.x, data.y, { epochs: 2, shuffle: false });
    expectSameWeights(weightsOf(model), weightsOf(plain));
    const output = (await trainer.predictOnBatch(data.x)) as tf.Tensor;
    expect(output.shape).toEqual([count, CLASSES]);
  }
});
