/** Data parallelism: replicas with samples of their own train as plain `fit` does. */
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, pipeline } from 'millrace';
import { expect, it } from 'vitest';
import { describeOnBackends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { branching, type ModelKind, mlp, normalized, regularized, shared } from '../helpers/models.js';
import { expectSameInference, expectSameTraining, start, type TrainingRun, withPair } from './support.js';

/** The last mini-batch has one sample: all replicas but the first go without. */
const uneven: TrainingRun = { sampleCount: 15, optimizer: 'momentum', seed: 5, fit: { batchSize: 7 } };

/** No replica's part of a mini-batch tells this of the whole. */
const withRatios: ModelKind = { ...mlp, metrics: ['precision', 'accuracy'] };

describeOnBackends('replicas', backend => {
  it.each([1, 2])('normalise each mini-batch as a whole, in %d stages', async stages => {
    const options = { replicas: 3, stages, workers: 3 * stages } as const;
    await withPair(normalized, backend, options, async (pair, trainer) => {
      expect(trainer.plan).toMatchObject({ replicas: 3, microBatches: 1 });
      await expectSameTraining(pair, trainer, uneven);
      await expectSameInference(pair, trainer, uneven);
      const before = await trainer.memory();
      await expectSameTraining(pair, trainer, uneven);
      expect(await trainer.memory()).toEqual(before);
    });
  });

  it.each(['micro-batch', 'deferred'] as const)(
    'leave the running statistics that one with all micro-batches leaves: %s',
    async batchNorm => {
      const trained: tf.Tensor[][] = [];
      for (const [replicas, microBatches] of [
        [1, 6],
        [3, 2],
      ] as const) {
        const options = { replicas, microBatches, stages: 1, workers: replicas, batchNorm } as const;
        await withPair(normalized, backend, options, async (pair, trainer) => {
          start(pair, 'sgd', 5);
          const { x, y } = normalized.samples(13, 5);
          await trainer.fit(x, y, { batchSize: 12, epochs: 2, shuffle: false });
          trained.push(pair.piped.getWeights().map(weight => weight.clone()));
          tf.dispose([x, y]);
        });
      }
      expectTensorsClose(trained[1]!, trained[0]!, 'weight');
      tf.dispose(trained);
    },
  );

  it.each([
    ['that are penalised', regularized],
    ['of tied weights', shared],
    ['of several outputs', branching],
    ['with metrics that are no means', withRatios],
  ])('%s', async (_, kind) => {
    await withPair(kind, backend, { replicas: 2, stages: 2, workers: 2 }, async (pair, trainer) => {
      await expectSameTraining(pair, trainer, uneven);
      await expectSameInference(pair, trainer, uneven);
    });
  });

  it('keep the optimizer of the wrapped model whole', async () => {
    await withPair(mlp, backend, { replicas: 3 }, async (pair, trainer) => {
      start(pair, 'adam', 5);
      const { x, y } = mlp.samples(12, 5);
      const args = { batchSize: 6, shuffle: false, verbose: 0 } as const;
      await trainer.fit(x, y, args);
      // Plain training goes on from the slots that the replicas kept shares of.
      await pair.piped.fit(x, y, args);
      await trainer.fit(x, y, args);
      await pair.plain.fit(x, y, { ...args, epochs: 3 });
      expectTensorsClose(pair.piped.getWeights(), pair.plain.getWeights(), 'weight', 1e-4);
      tf.dispose([x, y]);
    });
  });
});

it.each<[string, () => tf.layers.Layer[], RegExp]>([
  [
    'a stateful layer',
    () => [
      tf.layers.lstm({ units: 2, stateful: true, batchInputShape: [4, 3, 2], name: 'memory' }),
      tf.layers.dense({ units: 1 }),
    ],
    /'replicas' is 2, but layer 'memory' is stateful/,
  ],
])('%s refuses replicas by name', async (_, layers, message) => {
  await useBackend('cpu');
  const model = tf.sequential({ layers: layers() });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  const refused = pipeline(model, { backend: 'cpu', replicas: 2 });
  await expect(refused).rejects.toThrow(message);
  await expect(refused).rejects.toBeInstanceOf(ConfigurationError);
  model.dispose();
});

it('more replicas than workers are refused', async () => {
  await useBackend('cpu');
  const model = mlp.build();
  model.compile({ optimizer: 'sgd', loss: mlp.loss });
  const refused = pipeline(model, { backend: 'cpu', replicas: 3, workers: 2 });
  await expect(refused).rejects.toThrow("Option 'replicas' is 3, but there are 2 workers");
  model.dispose();
});
