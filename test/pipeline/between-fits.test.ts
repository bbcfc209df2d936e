/** Whatever the user does to the model between two fits is noticed and applied. */
import * as tf from '@tensorflow/tfjs';
import type { PipelinedModel, PipelineOptions, TrainerEvent } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BACKENDS,
  compile,
  compiledClassifier,
  expectSameWeights,
  newClassifier,
  open,
  refusal,
  samples,
  weightsOf,
} from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const { x, y } = samples(24);
const args = { batchSize: 8, shuffle: false, verbose: 0 } as const;

/**
 * Fit, `change`, fit: plainly, and as a pipeline. The weights must agree after each; the second fit must start from
 * `change`, so the first one is trained long enough to matter.
 */
async function fitTwice(
  change: (model: tf.LayersModel, trainer?: PipelinedModel) => unknown,
  options: PipelineOptions = {},
) {
  const plain = compiledClassifier();
  const model = compiledClassifier();
  const trainer = await open(model, { backend: 'cpu', ...options });
  await plain.fit(x, y, args);
  await trainer.fit(x, y, args);
  expectSameWeights(weightsOf(model), weightsOf(plain));
  await change(plain);
  await change(model, trainer);
  await plain.fit(x, y, args);
  await trainer.fit(x, y, args);
  expectSameWeights(weightsOf(model), weightsOf(plain), 1e-4);
  return { plain, model, trainer };
}

describe('between two fits', () => {
  it.each(BACKENDS)('nothing happens: momentum goes on, on %s', async backend => {
    await fitTwice(() => {}, { backend });
  });

  it('setWeights counts', async () => {
    await fitTwice(model => model.setWeights(newClassifier().getWeights()));
  });

  it('setting one weight of one layer counts', async () => {
    await fitTwice(model => {
      const [kernel, bias] = model.getLayer('hidden1').getWeights();
      model.getLayer('hidden1').setWeights([tf.mul(kernel!, 0.5), bias!]);
    });
  });

  it('a plain fit counts, its optimizer state included', async () => {
    await fitTwice(model => model.fit(x, y, args));
  });

  it('giving the optimizer another state counts, the number of steps included', async () => {
    const { plain, model } = await fitTwice(async changed => {
      const { optimizer } = changed;
      const [counter, ...slots] = await optimizer.getWeights();
      expect(slots.length).toBeGreaterThan(0);
      const zeros = slots.map(({ name, tensor }) => ({ name, tensor: tf.zerosLike(tensor) }));
      await optimizer.setWeights([{ name: counter!.name, tensor: tf.scalar(1000, 'int32') }, ...zeros]);
    });
    expect(plain.optimizer.iterations).toBe(1003);
    expect(model.optimizer.iterations).toBe(1003);
  });

  it('compiling with another optimizer counts', async () => {
    await fitTwice(model => compile(model, { optimizer: tf.train.rmsprop(0.01) }));
  });

  it('compiling with the same optimizer again starts its state anew', async () => {
    await fitTwice(model => compile(model));
  });

  it('compiling with another loss and other metrics counts, and the logs are the new ones', async () => {
    const { trainer } = await fitTwice(model =>
      compile(model, { loss: 'meanSquaredError', metrics: ['mae', 'accuracy'] }),
    );
    const { history } = await trainer.fit(x, y, args);
    expect(Object.keys(history)).toEqual(['loss', 'mae', 'acc']);
  });

  it('freezing a layer and compiling counts: its weights stay', async () => {
    const before: Float32Array[] = [];
    const { model } = await fitTwice((changed, trainer) => {
      changed.getLayer('hidden0').trainable = false;
      compile(changed);
      if (trainer !== undefined) before.push(...weightsOf(changed));
    });
    const frozen = model.getLayer('hidden0').getWeights()[0]!.dataSync();
    expect(before.some(weight => weight.every((value, index) => value === frozen[index]))).toBe(true);
  });

  it('freezing everything below the cut and compiling counts', async () => {
    await fitTwice(model => {
      for (const name of ['hidden0', 'hidden1']) model.getLayer(name).trainable = false;
      compile(model);
    });
  });

  it('thawing a layer that was frozen at the start counts', async () => {
    const make = (): tf.Sequential => {
      const model = newClassifier();
      for (const name of ['hidden0', 'hidden1']) model.getLayer(name).trainable = false;
      compile(model);
      return model;
    };
    const [plain, model] = [make(), make()];
    const trainer = await open(model);
    for (const step of ['frozen', 'thawed']) {
      if (step === 'thawed') {
        for (const each of [plain, model]) {
          for (const name of ['hidden0', 'hidden1']) each.getLayer(name).trainable = true;
          compile(each);
        }
      }
      await plain.fit(x, y, args);
      await trainer.fit(x, y, args);
      expectSameWeights(weightsOf(model), weightsOf(plain));
    }
  });

  it.each(BACKENDS)(
    'freezing a layer without compiling counts at once, and is warned of, on %s',
    async backend => {
      const { trainer, plain, model } = await fitTwice(
        changed => {
          changed.getLayer('hidden1').trainable = false;
        },
        { backend },
      );
      const warnings: TrainerEvent[] = [];
      trainer.events$.subscribe(event => event.kind === 'warning' && warnings.push(event));
      for (const each of [plain, model]) each.getLayer('hidden2').trainable = false;
      await plain.fit(x, y, args);
      await trainer.fit(x, y, args);
      expectSameWeights(weightsOf(model), weightsOf(plain), 1e-4);
      expect(warnings).toMatchObject([
        { code: 'TRAINABLE_CHANGED', message: expect.stringMatching(/^4 weights are trainable now, but 8/) },
      ]);
      // Thawed again, it goes on with the optimizer state that it had.
      for (const each of [plain, model]) each.getLayer('hidden1').trainable = true;
      await plain.fit(x, y, args);
      await trainer.fit(x, y, args);
      expectSameWeights(weightsOf(model), weightsOf(plain), 1e-4);
    },
  );

  it.each(BACKENDS)('freezing a layer without compiling counts with replicas, on %s', async backend => {
    await fitTwice(
      changed => {
        changed.getLayer('hidden1').trainable = false;
      },
      { backend, replicas: 2 },
    );
  });

  it('thawing a layer without compiling does not count', async () => {
    const make = (): tf.Sequential => {
      const model = newClassifier();
      model.getLayer('hidden1').trainable = false;
      compile(model);
      model.getLayer('hidden1').trainable = true;
      return model;
    };
    const [plain, model] = [make(), make()];
    await plain.fit(x, y, args);
    await (await open(model)).fit(x, y, args);
    expectSameWeights(weightsOf(model), weightsOf(plain));
  });

  it('freezing everything is refused, and thawing it mends that', async () => {
    const model = compiledClassifier();
    const trainer = await open(model);
    for (const { name } of model.layers) model.getLayer(name).trainable = false;
    for (const call of [() => trainer.fit(x, y, args), () => trainer.trainOnBatch(x, y)]) {
      expect(await refusal(call)).toMatchObject({
        name: 'ModelError',
        message: expect.stringMatching(/'classifier' has no trainable weight/),
      });
    }
    for (const { name } of model.layers) model.getLayer(name).trainable = true;
    const twin = compiledClassifier();
    await twin.fit(x, y, args);
    await trainer.fit(x, y, args);
    expectSameWeights(weightsOf(model), weightsOf(twin));
  });

  it('single mini-batches and fits take turns, the optimizer state going on', async () => {
    await fitTwice(async (model, trainer) => {
      await (trainer ?? model).trainOnBatch(x, y);
    });
  });

  it('another learning rate counts', async () => {
    await fitTwice(model => (model.optimizer as tf.MomentumOptimizer).setLearningRate(0.01));
  });

  it('predict and evaluate see weights that were set a moment ago', async () => {
    const model = compiledClassifier();
    const trainer = await open(model);
    await trainer.fit(x, y, args);
    model.setWeights(newClassifier().getWeights());
    const [expected, actual] = [model.predict(x) as tf.Tensor, (await trainer.predict(x)) as tf.Tensor];
    expectSameWeights([actual.dataSync() as Float32Array], [expected.dataSync() as Float32Array]);
    const [loss] = model.evaluate(x, y) as tf.Scalar[];
    const [pipelined] = (await trainer.evaluate(x, y)) as tf.Scalar[];
    expect(pipelined!.dataSync()[0]).toBeCloseTo(loss!.dataSync()[0]!, 5);
  });

  it('plain fit after a pipelined one goes on with its optimizer state', async () => {
    const plain = compiledClassifier();
    await plain.fit(x, y, args);
    await plain.fit(x, y, args);
    const model = compiledClassifier();
    const trainer = await open(model);
    await trainer.fit(x, y, args);
    await model.fit(x, y, args);
    expectSameWeights(weightsOf(model), weightsOf(plain));
  });

  it('a compile that workers cannot follow is refused, and another compile mends it', async () => {
    const model = compiledClassifier();
    const trainer = await open(model);
    compile(model, { loss: (yTrue, yPred) => tf.losses.meanSquaredError(yTrue, yPred) });
    expect(await refusal(() => trainer.fit(x, y, args))).toMatchObject({ name: 'ModelError' });
    compile(model);
    const twin = compiledClassifier();
    await twin.fit(x, y, args);
    await trainer.fit(x, y, args);
    expectSameWeights(weightsOf(model), weightsOf(twin));
  });

  it.each([
    ['that is not registered', false, 'ModelError', /optimizer has the class 'Unheard0'.*registerClass/],
    ['that workers do not know', true, 'StageError', /Unheard1.*not registered/],
  ])('an optimizer %s is refused every time, and another one mends it', async (_, known, name, message) => {
    const className = `Unheard${Number(known)}`;
    const Unheard = class extends tf.SGDOptimizer {
      static override className = className;
    };
    if (known)
      tf.serialization.registerClass(Unheard as unknown as tf.serialization.SerializableConstructor<never>);
    const model = compiledClassifier();
    const trainer = await open(model);
    compile(model, { optimizer: new Unheard(0.1) });
    for (const _attempt of [1, 2]) {
      const error = await refusal(() => trainer.fit(x, y, args));
      expect(error.name).toBe(name);
      expect(error.message).toMatch(message);
    }
    compile(model);
    const twin = compiledClassifier();
    await twin.fit(x, y, args);
    await trainer.fit(x, y, args);
    expectSameWeights(weightsOf(model), weightsOf(twin));
  });

  it.each([
    ['added', (model: tf.Sequential) => model.add(tf.layers.dense({ units: 3, name: 'more' }))],
    ['removed', (model: tf.Sequential) => model.pop()],
  ])('a layer that is %s is noticed, whether or not the model is compiled again', async (_, change) => {
    const model = compiledClassifier();
    const trainer = await open(model);
    await trainer.fit(x, y, args);
    change(model);
    const calls = [() => trainer.fit(x, y, args), () => trainer.predict(x), () => trainer.evaluate(x, y)];
    for (const call of calls) {
      expect(await refusal(call)).toMatchObject({
        name: 'ModelError',
        message: expect.stringMatching(/added or removed.*pipeline\(model\)/),
      });
    }
    compile(model);
    expect(await refusal(() => trainer.fit(x, y, args))).toMatchObject({ name: 'ModelError' });
  });
});
