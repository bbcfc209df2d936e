import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { expectSameHistory } from '../equality/support.js';
import { describeOnBackends } from '../helpers/backends.js';
import { seedWeights, uniform } from '../helpers/data.js';
import { withTrainer } from '../helpers/trainer.js';

/**
 * Precision and recall are ratios of sums, so means over micro-batches would be wrong. tfjs counts outputs that are exactly 1,
 * hence an activation that saturates.
 */
function makeModel(): tf.LayersModel {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [4], units: 6 }),
      tf.layers.dense({ units: 1, activation: 'hardSigmoid' }),
    ],
  });
  seedWeights(model, 2);
  model.compile({
    optimizer: tf.train.sgd(0.001),
    loss: 'meanSquaredError',
    metrics: [tf.metrics.precision, tf.metrics.recall, 'binaryAccuracy'] as never,
  });
  return model;
}

describeOnBackends('metrics that are no means over samples', backend => {
  it.each([
    { stages: 1, microBatches: 3, recompute: 'never' },
    { stages: 2, microBatches: 5, recompute: 'always' },
  ] as const)('equal plain ones with $stages stages and $microBatches micro-batches', async options => {
    const [plain, piped] = [makeModel(), makeModel()];
    const x = uniform([47, 4], 1, -20, 20);
    const y = tf.tidy(() => tf.cast(tf.greater(uniform([47, 1], 8), 0.1), 'float32'));
    const fit = { batchSize: 20, epochs: 2, shuffle: false, verbose: 0, validationSplit: 0.3 } as const;
    await withTrainer(piped, { backend, ...options }, async trainer => {
      const expected = await plain.fit(x, y, fit);
      expectSameHistory(await trainer.fit(x, y, fit), expected);
      // The comparison is not about zeros: something was predicted rightly and something wrongly.
      for (const name of ['precision', 'recall', 'val_precision']) {
        const value = expected.history[name]![0] as number;
        expect(value, name).toBeGreaterThan(0);
        expect(value, name).toBeLessThan(1);
      }
      const before = await trainer.memory();
      await trainer.fit(x, y, fit);
      expect(await trainer.memory()).toEqual(before);
    });
    tf.dispose([x, y]);
  });
});
