/** What callbacks do takes effect as in a plain fit: stopping, changing the rate, reading and saving weights, throwing. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  compile,
  compiledClassifier,
  expectSameWeights,
  isTraining,
  newClassifier,
  open,
  refusal,
  samples,
  weightsOf,
} from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const { x, y } = samples(40);
const args = { batchSize: 8, shuffle: false, verbose: 0 } as const;

type Hooks = (model: tf.LayersModel, seen: unknown[]) => tf.CustomCallbackArgs;

/** Trains plainly and as a pipeline with the same hooks, and compares what they saw and what came out. */
async function both(hooks: Hooks, epochs: number, make: () => tf.LayersModel = compiledClassifier) {
  const seenByPlain: unknown[] = [];
  const plain = make();
  const plainHistory = await plain.fit(x, y, { ...args, epochs, callbacks: hooks(plain, seenByPlain) });
  const seen: unknown[] = [];
  const model = make();
  const trainer = await open(model);
  const history = await trainer.fit(x, y, { ...args, epochs, callbacks: hooks(model, seen) });
  expectSameWeights(weightsOf(model), weightsOf(plain));
  expect(history.epoch).toEqual(plainHistory.epoch);
  return { seen, seenByPlain, history, trainer, model };
}

it('hooks get logs wherever those of tfjs do, if only empty ones', async () => {
  const { seen, seenByPlain } = await both(
    (_, hooks) => ({
      onTrainBegin: logs => void hooks.push(['train begins', logs]),
      onEpochBegin: (_epoch, logs) => void hooks.push(['epoch begins', logs]),
      onTrainEnd: logs => void hooks.push(['train ends', logs]),
    }),
    1,
  );
  expect(seen).toEqual(seenByPlain);
  expect(seen).toContainEqual(['train ends', {}]);
});

it('the optimizer is up to date in onEpochEnd, and what is set there counts', async () => {
  const { seen, seenByPlain } = await both(
    (model, states) => ({
      onEpochEnd: async () => {
        const { optimizer } = model;
        const [counter, ...slots] = await optimizer.getWeights();
        states.push([counter!.tensor.dataSync()[0], slots.length]);
        await optimizer.setWeights([
          { name: counter!.name, tensor: tf.scalar(100, 'int32') },
          ...slots.map(({ name, tensor }) => ({ name, tensor: tf.zerosLike(tensor) })),
        ]);
      },
    }),
    2,
  );
  expect(seen).toEqual(seenByPlain);
  expect(seen).toEqual([
    [5, 8],
    [105, 8],
  ]);
});

describe('stopTraining', () => {
  it('in onBatchEnd stops after exactly that batch', async () => {
    const { seen, seenByPlain } = await both(
      (model, batches) => ({
        onBatchBegin: batch => void batches.push(`begin ${batch}`),
        onBatchEnd: batch => {
          batches.push(`end ${batch}`);
          if (batch === 1) model.stopTraining = true;
        },
        onEpochEnd: epoch => void batches.push(`epoch ${epoch}`),
        onTrainEnd: () => void batches.push('train'),
      }),
      3,
    );
    expect(seen).toEqual(seenByPlain);
    expect(seen).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1', 'epoch 0', 'train']);
  });

  it('in onEpochBegin stops after one batch', async () => {
    const { seen, seenByPlain } = await both(
      (model, hooks) => ({
        onEpochBegin: () => {
          model.stopTraining = true;
        },
        onBatchEnd: batch => void hooks.push(`batch ${batch}`),
        onEpochEnd: epoch => void hooks.push(`epoch ${epoch}`),
      }),
      3,
    );
    expect(seen).toEqual(seenByPlain);
    expect(seen).toEqual(['batch 0', 'epoch 0']);
  });

  it('in onEpochEnd stops after that epoch, and the next fit trains again', async () => {
    const { history, trainer } = await both(
      model => ({
        onEpochEnd: epoch => {
          if (epoch === 1) model.stopTraining = true;
        },
      }),
      4,
    );
    expect(history.epoch).toEqual([0, 1]);
    expect((await trainer.fit(x, y, { ...args, epochs: 2 })).epoch).toEqual([0, 1]);
  });

  it('by tf.callbacks.earlyStopping stops at the epoch at which plain fit stops', async () => {
    const stopping = () => tf.callbacks.earlyStopping({ monitor: 'loss', minDelta: 0.02, patience: 1 });
    const plain = compiledClassifier();
    const expected = await plain.fit(x, y, { ...args, epochs: 60, callbacks: stopping() });
    expect(expected.epoch.length).toBeLessThan(60);
    const model = compiledClassifier();
    const history = await (await open(model)).fit(x, y, { ...args, epochs: 60, callbacks: stopping() });
    expect(history.epoch).toEqual(expected.epoch);
    expectSameWeights(weightsOf(model), weightsOf(plain), 1e-4);
  });
});

describe('a learning rate', () => {
  const changeable = () => compiledClassifier({ optimizer: tf.train.adam(0.01) });
  const setRate = (model: tf.LayersModel, rate: number): void => {
    (model.optimizer as unknown as { learningRate: number }).learningRate = rate;
  };

  it('set in onBatchEnd counts from the next batch on', async () => {
    await both(
      model => ({ onBatchEnd: batch => setRate(model, batch % 2 === 0 ? 0.05 : 0.001) }),
      2,
      changeable,
    );
  });

  it('set in onEpochEnd counts from the next epoch on', async () => {
    const { history } = await both(model => ({ onEpochEnd: () => setRate(model, 0) }), 3, changeable);
    expect(history.history['loss']![1]).toBeCloseTo(history.history['loss']![2] as number, 6);
  });

  it('set through the setter of sgd counts too', async () => {
    await both(
      model => ({ onBatchEnd: () => (model.optimizer as tf.SGDOptimizer).setLearningRate(0.5) }),
      1,
      () => compiledClassifier({ optimizer: tf.train.sgd(0.01) }),
    );
  });
});

describe('weights', () => {
  it('read in onBatchBegin, onBatchEnd and onEpochEnd are those of that moment', async () => {
    const read = (model: tf.LayersModel) => weightsOf(model).map(weight => weight[0]);
    const { seen, seenByPlain } = await both(
      (model, values) => ({
        onBatchBegin: () => void values.push(read(model)),
        onBatchEnd: () => void values.push(read(model)),
        onEpochEnd: () => void values.push(read(model)),
      }),
      2,
    );
    expect(seen).toHaveLength(seenByPlain.length);
    for (const [index, values] of (seenByPlain as number[][]).entries()) {
      for (const [weight, value] of values.entries()) {
        expect((seen as number[][])[index]![weight], `look ${index}`).toBeCloseTo(value, 5);
      }
    }
    expect(seen[1]).not.toEqual(seen[0]);
  });

  it('that a callback saves in onEpochEnd are those of that epoch', async () => {
    const { seen, seenByPlain } = await both(
      (model, saved) => ({
        onEpochEnd: async () => {
          await model.save(
            tf.io.withSaveHandler(async ({ weightData }) => {
              saved.push(new Float32Array((weightData as ArrayBuffer).slice(0)));
              return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } };
            }),
          );
        },
      }),
      2,
    );
    expect(seen).toHaveLength(2);
    for (const index of [0, 1]) {
      expectSameWeights([seen[index] as Float32Array], [seenByPlain[index] as Float32Array]);
    }
  });

  it('set in onEpochEnd are trained on from there', async () => {
    const fresh = newClassifier();
    await both(
      model => ({ onEpochEnd: epoch => void (epoch === 0 && model.setWeights(fresh.getWeights())) }),
      2,
      () => compiledClassifier({ optimizer: tf.train.sgd(0.1) }),
    );
  });

  it('set in onBatchEnd are trained on from there', async () => {
    const fresh = newClassifier();
    await both(
      model => ({ onBatchEnd: batch => void (batch === 2 && model.setWeights(fresh.getWeights())) }),
      1,
      () => compiledClassifier({ optimizer: tf.train.sgd(0.1) }),
    );
  });
});

describe('a callback that throws', () => {
  const hooks = ['onTrainBegin', 'onEpochBegin', 'onBatchBegin', 'onBatchEnd', 'onEpochEnd', 'onTrainEnd'];

  it.each(hooks)('in %s makes fit reject with that very error, and the trainer works again', async hook => {
    const model = compiledClassifier();
    const trainer = await open(model);
    const thrown = new RangeError(`from ${hook}`);
    const error = await refusal(() =>
      trainer.fit(x, y, {
        ...args,
        callbacks: {
          [hook]: () => {
            throw thrown;
          },
        },
      }),
    );
    expect(error).toBe(thrown);
    expect(isTraining(model)).toBe(false);

    const twin = compiledClassifier();
    model.setWeights(twin.getWeights());
    compile(model);
    await trainer.fit(x, y, args);
    await twin.fit(x, y, args);
    expectSameWeights(weightsOf(model), weightsOf(twin));
  });
});
