/** Training a model that no worker may hold whole. */
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, pipeline } from 'millrace';
import { beforeAll, expect, it } from 'vitest';
import { expectSameWeights, initializer, refusal, weightsOf } from './helpers.js';

const WIDTH = 64;
const SAMPLES = 32;
/** Weights, gradients, and momentum's slots of one layer. */
const LAYER_BYTES = 3 * 4 * (WIDTH * WIDTH + WIDTH);

beforeAll(() => tf.setBackend('cpu'));

function wide(): tf.Sequential {
  const model = tf.sequential({
    layers: Array.from({ length: 4 }, (_, index) =>
      tf.layers.dense({
        units: WIDTH,
        activation: 'tanh',
        kernelInitializer: initializer(index + 1),
        ...(index === 0 ? { inputShape: [WIDTH] } : {}),
      }),
    ),
  });
  model.compile({ optimizer: tf.train.momentum(0.05, 0.9), loss: 'meanSquaredError' });
  return model;
}

const OPTIONS = { backend: 'cpu', workers: 2, batchSize: 8, cache: false, seed: 1 } as const;
const DATA = {
  x: tf.randomNormal([SAMPLES, WIDTH], 0, 1, 'float32', 3),
  y: tf.randomNormal([SAMPLES, WIDTH], 0, 1, 'float32', 4),
};
const FIT = { epochs: 2, batchSize: 8, shuffle: false };

it('goes through stages, with the numbers of plain fit', async () => {
  const model = wide();
  const memoryLimit = 3 * LAYER_BYTES;
  await using trainer = await pipeline(model, { ...OPTIONS, memoryLimit });
  expect(trainer.plan).toMatchObject({ replicas: 1, workers: 2 });
  // One or two stages a worker, by measured times.
  expect([2, 4]).toContain(trainer.plan.stages.length);
  expect(trainer.plan.workerBytes).toHaveLength(2);
  await trainer.fit(DATA.x, DATA.y, FIT);
  expect(Math.max(...trainer.plan.workerBytes)).toBeLessThanOrEqual(memoryLimit);
  const plain = wide();
  await plain.fit(DATA.x, DATA.y, FIT);
  expectSameWeights(weightsOf(model), weightsOf(plain));
});

it('is refused where not even stages have room', async () => {
  const error = await refusal(() => pipeline(wide(), { ...OPTIONS, memoryLimit: LAYER_BYTES }));
  expect(error).toBeInstanceOf(ConfigurationError);
  expect(error).toMatchObject({ path: 'memoryLimit' });
  expect(error.message).toMatch(/more stages on more workers, more micro-batches/);
});
