import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { branching, masked, mlp, regularized } from '../helpers/models.js';
import { expectSameHistory, expectSameTraining, expectSameWeights, start, withPair } from './support.js';

const piped = { stages: 3, microBatches: 4 } as const;

describeOnBackends('pipelined training equals plain fit', backend => {
  it('with class weights, also where micro-batches hold other classes', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      const run = { sampleCount: 21, optimizer: 'sgd', seed: 8 } as const;
      const classWeight = { 0: 0.2, 1: 3, 2: 1, 3: 0.7 };
      await expectSameTraining(pair, trainer, { ...run, fit: { batchSize: 9, classWeight } });
    });
  });

  it('with class weights for each of two outputs', async () => {
    await withPair(branching, backend, piped, async (pair, trainer) => {
      const run = { sampleCount: 13, optimizer: 'sgd', seed: 5 } as const;
      const classWeight = [{ 0: 2, 1: 0.5, 2: 1, 3: 0.1 }, null] as never;
      await expectSameTraining(pair, trainer, { ...run, fit: { batchSize: 6, classWeight } });
    });
  });

  it.each([
    ['an MLP with regularizers', regularized],
    ['masked LSTMs', masked],
  ])('with validation data of another size, for %s', async (_, kind) => {
    await withPair(kind, backend, piped, async (pair, trainer) => {
      const held = kind.samples(7, 99);
      const fit = { batchSize: 5, validationData: [held.x, held.y] as [tf.Tensor, tf.Tensor] };
      await expectSameTraining(pair, trainer, { sampleCount: 12, optimizer: 'momentum', seed: 2, fit });
      tf.dispose([held.x, held.y]);
    });
  });

  it('with the tail held back for validation', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      const fit = { batchSize: 4, validationSplit: 0.3, epochs: 3, initialEpoch: 1 };
      await expectSameTraining(pair, trainer, { sampleCount: 23, optimizer: 'sgd', seed: 4, fit });
    });
  });

  it('when a callback changes the learning rate between epochs', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      for (const optimizer of ['sgd', 'momentum'] as const) {
        start(pair, optimizer, 6);
        const { x, y } = mlp.samples(10, 6);
        const slowingDown = (model: tf.LayersModel) => ({
          batchSize: 5,
          epochs: 3,
          shuffle: false,
          verbose: 0 as const,
          callbacks: {
            onEpochEnd: async (epoch: number) => {
              const changed = model.optimizer as unknown as { setLearningRate(rate: number): void };
              changed.setLearningRate(0.05 / (epoch + 2));
            },
          },
        });
        const expected = await pair.plain.fit(x, y, slowingDown(pair.plain));
        expectSameHistory(await trainer.fit(x, y, slowingDown(pair.piped)), expected);
        expectSameWeights(pair);
        tf.dispose([x, y]);
      }
    });
  });

  it('when the user sets weights or freezes a layer between two fits', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      const run = { sampleCount: 10, optimizer: 'sgd', fit: { batchSize: 4 } } as const;
      await expectSameTraining(pair, trainer, { ...run, seed: 1 });
      const before = pair.piped.layers[1]!.getWeights().map(weight => [...weight.dataSync()]);
      await expectSameTraining(pair, trainer, { ...run, seed: 2 });
      for (const model of [pair.plain, pair.piped]) model.layers[1]!.trainable = false;
      await expectSameTraining(pair, trainer, { ...run, seed: 1 });
      // The third start is the first one's, and the frozen layer stayed there while the others learned.
      const after = pair.piped.layers[1]!.getWeights().map(weight => [...weight.dataSync()]);
      expect(after).not.toEqual(before);
    });
  });
});
