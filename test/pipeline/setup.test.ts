/** Layers, losses and metrics of the user's own reach the workers through the `setup` option. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BACKENDS,
  CLASSES,
  compile,
  compiledClassifier,
  expectSameWeights,
  FEATURES,
  initializer,
  open,
  samples,
  weightsOf,
} from './helpers.js';

const setup = fileURLToPath(new URL('./fixtures/setup.mjs', import.meta.url));
// Required, not imported: the test runner would load a second copy, and functions are found by identity.
const { Scale, Closure, lopsided, close } = createRequire(import.meta.url)(setup) as {
  Scale: new (config: object) => tf.layers.Layer;
  Closure: new (config: object) => tf.layers.Layer;
  lopsided: (yTrue: tf.Tensor, yPred: tf.Tensor) => tf.Tensor;
  close: (yTrue: tf.Tensor, yPred: tf.Tensor) => tf.Tensor;
};

beforeAll(() => tf.setBackend('cpu'));

function scaled(): tf.Sequential {
  const kernelInitializer = initializer(2);
  const model = tf.sequential({
    layers: [
      tf.layers.dense({
        units: 8,
        activation: 'tanh',
        inputShape: [FEATURES],
        kernelInitializer: initializer(1),
      }),
      new Scale({ name: 'scale', start: 1.5 }),
      tf.layers.dense({ name: 'head', units: CLASSES, kernelInitializer }),
    ],
  });
  compile(model, { loss: lopsided, metrics: [close], optimizer: tf.train.momentum(0.02, 0.9) });
  return model;
}

describe('a model with a layer, a loss and a metric of its own', () => {
  it.each(BACKENDS)('trains on %s to the weights and logs of plain fit', async backend => {
    const { x, y } = samples(22);
    const args = { epochs: 2, batchSize: 8, shuffle: false, validationSplit: 0.2 };
    const plain = scaled();
    const expected = await plain.fit(x, y, { ...args, verbose: 0 });
    const model = scaled();
    const trainer = await open(model, { backend, setup, stages: 'auto', partition: ['scale'] });
    const { history } = await trainer.fit(x, y, args);

    expectSameWeights(weightsOf(model), weightsOf(plain), 1e-4);
    expect(Object.keys(history)).toEqual(Object.keys(expected.history));
    expect(Object.keys(history)).toContain('val_close');
    for (const [key, values] of Object.entries(expected.history)) {
      for (const [epoch, value] of values.entries())
        expect(history[key]![epoch]).toBeCloseTo(value as number, 4);
    }
  });

  it('may name its modules in a list, by file URL', async () => {
    const trainer = await open(scaled(), { setup: [new URL('./fixtures/setup.mjs', import.meta.url).href] });
    const { x, y } = samples(8);
    await expect(trainer.fit(x, y)).resolves.toBeInstanceOf(tf.History);
  });
});

it.each(BACKENDS)(
  'a gradient that reads tensors of the forward pass trains as in plain fit, on %s',
  async backend => {
    const { x, y } = samples(16);
    const model = () => {
      const made = tf.sequential({
        layers: [
          tf.layers.dense({ units: 8, inputShape: [FEATURES], kernelInitializer: initializer(1) }),
          new Closure({ name: 'closure' }),
          tf.layers.dense({ name: 'head', units: CLASSES, kernelInitializer: initializer(2) }),
        ],
      });
      compile(made, { loss: 'meanSquaredError' });
      return made;
    };
    for (const partition of [['closure'], ['head']]) {
      const plain = model();
      await plain.fit(x, y, { batchSize: 8, shuffle: false, verbose: 0 });
      const trained = model();
      const trainer = await open(trained, { backend, setup, partition });
      await trainer.fit(x, y, { batchSize: 8, shuffle: false });
      expectSameWeights(weightsOf(trained), weightsOf(plain));
      const before = await trainer.memory();
      await trainer.fit(x, y, { batchSize: 8, shuffle: false });
      expect(await trainer.memory()).toEqual(before);
    }
  },
);

it('functions of tf.losses and tf.metrics need no setup', async () => {
  const args = { loss: tf.losses.meanSquaredError, metrics: [tf.metrics.meanAbsoluteError] } as never;
  const { x, y } = samples(16);
  const plain = compiledClassifier(args);
  await plain.fit(x, y, { shuffle: false, verbose: 0 });
  const model = compiledClassifier(args);
  await (await open(model)).fit(x, y, { shuffle: false });
  expectSameWeights(weightsOf(model), weightsOf(plain));
});
