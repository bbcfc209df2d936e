/** The option `tracedLayers`: same numbers as plain fit under any plan, on every engine. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, type PipelineOptions } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BACKENDS,
  CLASSES,
  compile,
  expectSameWeights,
  FEATURES,
  initializer,
  open,
  refusal,
  samples,
  weightsOf,
} from './helpers.js';

const setup = fileURLToPath(new URL('./fixtures/traced.mjs', import.meta.url));
const { Attention } = createRequire(import.meta.url)(setup) as {
  Attention: new (config: object) => tf.layers.Layer;
};

beforeAll(() => tf.setBackend('cpu'));

/** Attention by itself, and inside a nested model. */
function newModel(): tf.Sequential {
  const nested = tf.sequential({
    layers: [
      tf.layers.dense({ units: 5, inputShape: [6], kernelInitializer: initializer(4) }),
      new Attention({ name: 'inner' }),
    ],
  });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 6, inputShape: [FEATURES], kernelInitializer: initializer(1) }),
      new Attention({ name: 'outer' }),
      nested,
      tf.layers.dense({ units: CLASSES, activation: 'softmax', kernelInitializer: initializer(2) }),
    ],
  });
  compile(model);
  return model;
}

// The last mini-batch is a leftover, of other shapes.
const { x, y } = samples(44);
const args = { epochs: 2, batchSize: 16, shuffle: false, verbose: 0, validationSplit: 0.2 } as const;
const tracedLayers = ['TestAttention'];

const PLANS: readonly PipelineOptions[] = [
  { stages: 1, workers: 1, microBatches: 1 },
  { stages: 3, workers: 2, microBatches: 3, schedule: '1f1b' },
  { stages: 2, workers: 2, microBatches: 4, recompute: 'always' },
  { stages: 1, workers: 2, replicas: 2, microBatches: 2 },
];

describe.each(BACKENDS)('traced layers on %s', backend => {
  it.each(PLANS)('train and predict as plain fit does, in %o', async plan => {
    const plain = newModel();
    const { history } = await plain.fit(x, y, args);
    const trainer = await open(newModel(), { backend, setup, tracedLayers, partition: 'uniform', ...plan });
    const piped = await trainer.fit(x, y, args);
    expectSameWeights(weightsOf(trainer.model), weightsOf(plain));
    for (const [name, values] of Object.entries(history)) {
      for (const [epoch, value] of values.entries()) {
        expect(piped.history[name]![epoch]).toBeCloseTo(value as number, 4);
      }
    }
    const [actual, expected] = [await trainer.predict(x), plain.predict(x)] as [tf.Tensor, tf.Tensor];
    expect(tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]).toBeLessThan(1e-4);
  });
});

describe('the option tracedLayers', () => {
  it('refuses a class of which the model has no layer, and says which there are', async () => {
    const error = await refusal(() =>
      open(newModel(), { backend: 'cpu', setup, tracedLayers: ['TestAttention', 'Atention'] }),
    );
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe('tracedLayers');
    expect(error.message).toMatch(/'Atention'.*It has layers of Dense, Sequential, TestAttention\./);
  });
});
