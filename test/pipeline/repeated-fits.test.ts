/** What a loop of fits sees, and what it may do between them and in callbacks. */
import * as tf from '@tensorflow/tfjs';
import type { TrainerEvent } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BACKENDS,
  CLASSES,
  compile,
  compiledClassifier,
  expectSameWeights,
  FEATURES,
  open,
  refusal,
  samples,
  weightsOf,
} from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

describe('a loop of fits', () => {
  it('goes through the samples in another order every time, and in the same orders with the same seed', async () => {
    const { x, y } = samples(24);
    const lossesOf = async (): Promise<number[][]> => {
      const trainer = await open(compiledClassifier(), { backend: 'cpu', seed: 5 });
      const start = trainer.model.getWeights().map(weight => weight.clone());
      const seen: number[][] = [];
      for (const _ of [1, 2, 3]) {
        trainer.model.setWeights(start);
        compile(trainer.model, { optimizer: tf.train.sgd(1e-9) });
        const losses: number[] = [];
        const callbacks = {
          onBatchEnd: (__: number, logs?: tf.Logs) => {
            losses.push(logs!['loss'] as number);
          },
        };
        await trainer.fit(x, y, { batchSize: 4, callbacks });
        seen.push(losses);
      }
      return seen;
    };
    const seen = await lossesOf();
    expect(new Set(seen.map(losses => losses.map(loss => loss.toFixed(4)).join())).size).toBe(3);
    const again = await lossesOf();
    expect(again).toEqual(seen);
  });
});

describe('model.resetStates()', () => {
  const build = (): tf.Sequential => {
    const model = tf.sequential({
      layers: [
        tf.layers.reshape({ targetShape: [2, FEATURES / 2], batchInputShape: [8, FEATURES] }),
        tf.layers.simpleRNN({
          name: 'memory',
          units: 5,
          stateful: true,
          recurrentInitializer: 'glorotUniform',
        }),
        tf.layers.dense({ units: CLASSES }),
      ],
    });
    compile(model, { loss: 'meanSquaredError', optimizer: tf.train.sgd(0.05) });
    return model;
  };

  it.each(BACKENDS)(
    'resets the states in the workers, in callbacks and between fits, on %s',
    async backend => {
      const { x, y } = samples(24);
      const plain = build();
      const piped = build();
      piped.setWeights(plain.getWeights());
      const trainer = await open(piped, { backend, microBatches: 1 });
      const argsFor = (model: tf.LayersModel) => ({
        epochs: 3,
        batchSize: 8,
        shuffle: false,
        verbose: 0 as const,
        callbacks: { onEpochBegin: () => model.resetStates() },
      });
      const expected = await plain.fit(x, y, argsFor(plain));
      const actual = await trainer.fit(x, y, argsFor(piped));
      expect(actual.history['loss']).toEqual(
        (expected.history['loss'] as number[]).map(loss => expect.closeTo(loss, 5)),
      );
      expectSameWeights(weightsOf(piped), weightsOf(plain));
      for (const model of [plain, piped]) model.resetStates();
      const once = { batchSize: 8, shuffle: false, verbose: 0 as const };
      await plain.fit(x, y, once);
      await trainer.fit(x, y, once);
      expectSameWeights(weightsOf(piped), weightsOf(plain));
      await trainer.close();
      expect(Object.hasOwn(piped.getLayer('memory'), 'resetStates')).toBe(false);
    },
  );
});

describe('a fit that a callback or a signal ends', () => {
  it('tells so in an event with the reason', async () => {
    const { x, y } = samples(24);
    const trainer = await open(compiledClassifier(), { backend: 'cpu' });
    const events: TrainerEvent[] = [];
    trainer.events$.subscribe(event => events.push(event));
    const thrown = new RangeError('enough');
    const onBatchEnd = () => {
      throw thrown;
    };
    await refusal(() => trainer.fit(x, y, { batchSize: 8, callbacks: { onBatchEnd } }));
    expect(events.at(-1)).toEqual({ kind: 'aborted', error: thrown });
    const abort = new AbortController();
    const error = await refusal(() =>
      trainer.fit(x, y, {
        batchSize: 8,
        signal: abort.signal,
        callbacks: { onBatchEnd: () => abort.abort() },
      }),
    );
    expect(events.at(-1)).toEqual({ kind: 'aborted', error });
  });
});
