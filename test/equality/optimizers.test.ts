import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { frozenPrefix, mlp } from '../helpers/models.js';
import {
  expectSameHistory,
  expectSameTraining,
  expectSameWeights,
  type OptimizerName,
  type Pair,
  start,
  withPair,
} from './support.js';

/**
 * Rules that divide by a running size of the gradient turn rounding into steps of full length where the true gradient is
 * near zero, so their weights may drift apart by more than sums that were added in another order.
 */
const ADAPTIVE: readonly OptimizerName[] = ['adam', 'rmsprop', 'adagrad', 'adadelta'];
const LOOSE = 1e-3;

const piped = { stages: 3, workers: 2, microBatches: 3 } as const;
const fit = { batchSize: 5, epochs: 2, shuffle: false, verbose: 0 } as const;

/** Iterations first, then the slots, in the order in which tfjs saves them. */
async function optimizerState(model: tf.LayersModel): Promise<tf.Tensor[]> {
  return (await model.optimizer.getWeights()).map(({ tensor }) => tensor);
}

async function expectSameOptimizerState({ plain, piped }: Pair, tolerance: number): Promise<void> {
  const expected = await optimizerState(plain);
  // Iterations and at least one slot for each of 9 or 4 weights: the comparison is not about nothing.
  expect(expected.length).toBeGreaterThanOrEqual(1 + plain.trainableWeights.length);
  expectTensorsClose(await optimizerState(piped), expected, 'optimizer state', tolerance);
}

describeOnBackends('the optimizer', backend => {
  describe.each([...ADAPTIVE, 'momentum'] as const)('%s', optimizer => {
    const tolerance = optimizer === 'momentum' ? 1e-5 : LOOSE;

    it('has the slots of plain fit, and either way of training goes on from them', async () => {
      await withPair(mlp, backend, piped, async (pair, trainer) => {
        start(pair, optimizer, 3);
        const { x, y } = mlp.samples(12, 3);
        for (let round = 0; round < 2; round++) {
          const expected = await pair.plain.fit(x, y, fit);
          expectSameHistory(await trainer.fit(x, y, fit), expected, tolerance);
          await expectSameOptimizerState(pair, tolerance);
        }
        const expected = await pair.plain.fit(x, y, fit);
        expectSameHistory(await pair.piped.fit(x, y, fit), expected, tolerance);
        await expectSameOptimizerState(pair, tolerance);
        // And back: the trainer notices what plain training has changed.
        const last = await pair.plain.fit(x, y, fit);
        expectSameHistory(await trainer.fit(x, y, fit), last, tolerance);
        await expectSameOptimizerState(pair, tolerance);
        expectSameWeights(pair, tolerance);
        tf.dispose([x, y]);
      });
    });
  });

  it('keeps its slots beside the right weights when some layers are frozen', async () => {
    await withPair(frozenPrefix, backend, { ...piped, stages: 4 }, async (pair, trainer) => {
      start(pair, 'adam', 3);
      const { x, y } = frozenPrefix.samples(12, 3);
      await pair.plain.fit(x, y, fit);
      await trainer.fit(x, y, fit);
      await expectSameOptimizerState(pair, LOOSE);
      tf.dispose([x, y]);
    });
  });

  it('starts anew when the model is compiled again', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      for (const optimizer of ['momentum', 'sgd', 'momentum'] as const) {
        await expectSameTraining(pair, trainer, {
          sampleCount: 9,
          optimizer,
          seed: 4,
          fit: { batchSize: 4 },
        });
      }
    });
  });

  it('leaves no tensor behind in this thread', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      start(pair, 'adam', 3);
      const { x, y } = mlp.samples(12, 3);
      await trainer.fit(x, y, fit);
      const before = tf.memory().numTensors;
      await trainer.fit(x, y, fit);
      await trainer.fit(x, y, fit);
      expect(tf.memory().numTensors).toBe(before);
      tf.dispose([x, y]);
    });
  });
});
