/** A thousand steps leave no more behind than ten. */
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Arena } from '#internal/transport/index.js';
import { BACKENDS, compile, FEATURES, initializer, open, samples } from '../pipeline/helpers.js';

beforeAll(() => tf.setBackend('cpu'));
afterEach(() => vi.restoreAllMocks());

const STEPS_PER_EPOCH = 10;
const BATCH = 16;

function smallModel(): tf.Sequential {
  const layers = [12, 12, 3].map((units, index) =>
    tf.layers.dense({
      units,
      activation: index === 2 ? 'softmax' : 'tanh',
      kernelInitializer: initializer(index),
      ...(index === 0 ? { inputShape: [FEATURES] } : {}),
    }),
  );
  const model = tf.sequential({ layers });
  compile(model, { optimizer: tf.train.adam(1e-3) });
  return model;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

describe('1,000 steps', () => {
  it.each(BACKENDS)('leave tensors, ring memory and resident memory as they were, on %s', async backend => {
    const arenas = vi.spyOn(Arena, 'create');
    const trainer = await open(smallModel(), { backend, microBatches: 2 });
    const { x, y } = samples(STEPS_PER_EPOCH * BATCH);
    const resident: number[] = [];
    let steps = 0;
    trainer.events$.subscribe(({ kind }) => {
      if (kind !== 'step' || ++steps % 10 !== 0) return;
      resident.push(process.memoryUsage.rss());
    });
    const train = (count: number) =>
      trainer.fit(x, y, { epochs: count / STEPS_PER_EPOCH, batchSize: BATCH, verbose: 0 });

    await train(300);
    const before = { workers: await trainer.memory(), tensors: tf.memory().numTensors };
    const arenasBefore = arenas.mock.calls.length;
    expect(arenasBefore).toBeGreaterThan(0);
    await train(700);

    expect(steps).toBe(1_000);
    expect(await trainer.memory()).toEqual(before.workers);
    expect(tf.memory().numTensors).toBe(before.tensors);
    // Rings live in arenas of a fixed size: none was made, so none grew.
    expect(arenas.mock.calls.length).toBe(arenasBefore);

    // Medians of 200 steps each, 500 steps apart: a leak of 100 kB a step adds 50 MB. The workers' garbage goes up and
    // down by some 40 kB a step until their heaps are swept, which is noise of 20 MB here.
    const growth = median(resident.slice(80, 100)) - median(resident.slice(30, 50));
    expect(growth / 2 ** 20, 'MiB of growth in 500 steps').toBeLessThan(35);
  });
});
