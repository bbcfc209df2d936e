import { expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { relativeDifference } from '../helpers/compare.js';
import { normalized } from '../helpers/models.js';
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
});
