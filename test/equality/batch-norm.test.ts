import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { expectTensorsClose, relativeDifference } from '../helpers/compare.js';
import { oneHot, uniform } from '../helpers/data.js';
import { type ModelKind, normalized } from '../helpers/models.js';
import { expectSameInference, expectSameTraining, start, withPair } from './support.js';

const run = { sampleCount: 14, optimizer: 'momentum', seed: 5, fit: { batchSize: 6 } } as const;

describeOnBackends('batch norm', backend => {
  it.each(['never', 'except-last', 'always'] as const)(
    'keeps plain numbers and running statistics with one micro-batch and recompute %s',
    async recompute => {
      const options = { stages: 3, workers: 2, microBatches: 1, batchNorm: 'exact', recompute } as const;
      await withPair(normalized, backend, options, async (pair, trainer) => {
        await expectSameTraining(pair, trainer, run);
        await expectSameInference(pair, trainer, run);
      });
    },
  );

  it('gets one micro-batch when the number is left open', async () => {
    await withPair(normalized, backend, { stages: 2, workers: 2 }, async (pair, trainer) => {
      expect(trainer.plan.microBatches).toBe(1);
      await expectSameTraining(pair, trainer, run);
    });
  });

  it('normalises each micro-batch by itself when asked to, with the same statistics under recompute', async () => {
    const trained: Float32Array[] = [];
    for (const recompute of ['never', 'always'] as const) {
      const options = { stages: 2, microBatches: 3, batchNorm: 'micro-batch', recompute } as const;
      await withPair(normalized, backend, options, async (pair, trainer) => {
        start(pair, 'sgd', 5);
        const { x, y } = normalized.samples(6, 5);
        await trainer.fit(x, y, { batchSize: 6, shuffle: false });
        const flat = pair.piped.getWeights().flatMap(weight => [...weight.dataSync()]);
        trained.push(Float32Array.from(flat));
      });
    }
    const [once, repeated] = trained;
    expect(relativeDifference(repeated!, once!)).toBeLessThanOrEqual(1);
  });

  it.each(['never', 'always'] as const)(
    'deferred moves running statistics once a mini-batch, by all of its samples, with recompute %s',
    async recompute => {
      // Its input is the data itself, so the statistics of all samples are those of plain fit.
      const first: ModelKind = {
        ...normalized,
        build: () => {
          const input = tf.input({ shape: [4, 3] });
          const statistics = { name: 'first', momentum: 0.8 };
          let value = tf.layers.batchNormalization(statistics).apply(input);
          value = tf.layers.flatten().apply(value);
          value = tf.layers.dense({ units: 5, activation: 'tanh' }).apply(value);
          value = tf.layers.batchNormalization({ name: 'second' }).apply(value);
          value = tf.layers.dense({ units: 4, activation: 'softmax' }).apply(value);
          return tf.model({ inputs: input, outputs: value as tf.SymbolicTensor });
        },
        samples: (count, seed) => ({ x: uniform([count, 4, 3], seed), y: oneHot(count, 4, seed + 1) }),
      };
      const trained = new Map<string, tf.Tensor[]>();
      const plain: tf.Tensor[] = [];
      for (const batchNorm of ['deferred', 'micro-batch'] as const) {
        const options = { stages: 2, microBatches: 3, batchNorm, recompute } as const;
        await withPair(first, backend, options, async (pair, trainer) => {
          start(pair, 'momentum', 5);
          const { x, y } = first.samples(17, 5);
          const args = { epochs: 2, batchSize: 7, shuffle: false, verbose: 0 } as const;
          await trainer.fit(x, y, args);
          const before = await trainer.memory();
          await trainer.fit(x, y, { ...args, epochs: 1 });
          expect(await trainer.memory()).toEqual(before);
          await pair.plain.fit(x, y, { ...args, epochs: 3 });
          trained.set(
            batchNorm,
            pair.piped.getWeights().map(weight => weight.clone()),
          );
          if (plain.length === 0)
            plain.push(
              ...pair.plain
                .getLayer('first')
                .getWeights()
                .map(weight => weight.clone()),
            );
        });
      }
      const deferred = trained.get('deferred')!;
      const perMicroBatch = trained.get('micro-batch')!;
      // tfjs lists what is not trainable last: mean and variance of the first, then of the second.
      expectTensorsClose(deferred.slice(0, -4), perMicroBatch.slice(0, -4), 'weight');
      expectTensorsClose(deferred.slice(-4, -2), plain.slice(2), 'running statistic');
      expect(relativeDifference(perMicroBatch.at(-4)!.dataSync(), plain[2]!.dataSync())).toBeGreaterThan(1);
    },
  );
});
