/** Training and evaluating on datasets, against plain `fitDataset` and `evaluateDataset` on the same mini-batches. */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import type { DatasetBatch, FitDatasetArgs, PipelinedModel } from 'millrace';
import { describe, expect, it, vi } from 'vitest';
import { DriverSession } from '#internal/scheduler/driver/session.js';
import { describeOnBackends } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { integers, oneHot, uniform } from '../helpers/data.js';
import { branching, type ModelKind, masked, mlp, regularized } from '../helpers/models.js';
import { asList, expectSameHistory, expectSameWeights, type Pair, start, withPair } from './support.js';

const piped = { stages: 3, microBatches: 4 } as const;

/** A `tf.data` dataset of new tensors each time: mini-batches of these sizes. */
function datasetOf(kind: ModelKind, sizes: readonly number[], seed = 3): tf.data.Dataset<tf.TensorContainer> {
  return tf.data.generator(function* () {
    for (const [index, size] of sizes.entries()) {
      const { x, y } = kind.samples(size, seed + 10 * index);
      yield { xs: x, ys: y } as tf.TensorContainerObject;
    }
  } as () => Iterator<tf.TensorContainer>);
}

interface Call {
  readonly hook: string;
  readonly at: number;
  readonly keys: string[];
}

/** Records the order of the hooks, where they were called, and which logs they got. */
function recorder(calls: Call[]): tf.CustomCallbackArgs {
  const hook = (name: string) => (at: number, logs?: tf.Logs) => {
    calls.push({ hook: name, at, keys: Object.keys(logs ?? {}) });
  };
  return {
    onEpochBegin: hook('onEpochBegin'),
    onEpochEnd: hook('onEpochEnd'),
    onBatchBegin: hook('onBatchBegin'),
    onBatchEnd: hook('onBatchEnd'),
  };
}

/** Fits both on datasets of their own and fails unless hooks, losses, metrics and weights are equal. */
async function expectSameFit(
  pair: Pair,
  trainer: PipelinedModel,
  dataset: () => unknown,
  args: () => Partial<FitDatasetArgs> & { validationData?: unknown } = () => ({}),
  watched = true,
): Promise<tf.History> {
  start(pair, 'momentum', 4);
  const calls = { plain: [] as Call[], piped: [] as Call[] };
  const common = (side: 'plain' | 'piped') => ({
    epochs: 2,
    verbose: 0 as const,
    ...(watched ? { callbacks: recorder(calls[side]) } : {}),
    ...args(),
  });
  const expected = await pair.plain.fitDataset(dataset() as never, common('plain') as never);
  const actual = await trainer.fitDataset(dataset() as never, common('piped') as FitDatasetArgs);
  expectSameHistory(actual, expected);
  expectSameWeights(pair);
  expect(calls.piped).toEqual(calls.plain);
  return actual;
}

describeOnBackends('training on a dataset equals plain fitDataset', backend => {
  it('for one pass an epoch, with a smaller mini-batch at the end, and leaves no tensor', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      await expectSameFit(pair, trainer, () => datasetOf(mlp, [8, 8, 3]));
      await trainer.fitDataset(datasetOf(mlp, [8, 8, 3]), { epochs: 1 });
      const before = tf.memory().numTensors;
      await trainer.fitDataset(datasetOf(mlp, [8, 8, 3]), { epochs: 2 });
      expect(tf.memory().numTensors).toBe(before);
    });
  });

  it('for weight penalties and validation on another dataset', async () => {
    await withPair(regularized, backend, piped, async (pair, trainer) => {
      const history = await expectSameFit(
        pair,
        trainer,
        () => datasetOf(regularized, [6, 5]),
        () => ({ validationData: datasetOf(regularized, [7, 2], 77) }),
      );
      expect(Object.keys(history.history)).toContain('val_loss');
    });
  });

  it('for masks, and while training runs ahead of the reports', async () => {
    await withPair(masked, backend, piped, async (pair, trainer) => {
      await expectSameFit(pair, trainer, () => datasetOf(masked, [5, 9, 4]), undefined, false);
    });
  });

  it('evaluates a dataset to the same scores', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      const expected = asList(
        (await pair.plain.evaluateDataset(datasetOf(mlp, [9, 4, 6]) as never, {})) as tf.Scalar[],
      );
      const actual = asList(await trainer.evaluateDataset(datasetOf(mlp, [9, 4, 6])));
      expectTensorsClose(actual, expected, 'score');
      const first = asList(await trainer.evaluateDataset(datasetOf(mlp, [9, 4, 6]), { batches: 2 }));
      const expectedFirst = asList(
        (await pair.plain.evaluateDataset(datasetOf(mlp, [9, 4, 6]) as never, { batches: 2 })) as tf.Scalar[],
      );
      expectTensorsClose(first, expectedFirst, 'score');
    });
  });

  it('trains on single mini-batches to the same values and weights', async () => {
    await withPair(branching, backend, piped, async (pair, trainer) => {
      start(pair, 'momentum', 4);
      for (const size of [7, 12, 3]) {
        const { x, y } = branching.samples(size, size);
        const expected = (await pair.plain.trainOnBatch(x, y)) as number[];
        const actual = (await trainer.trainOnBatch(x, y)) as number[];
        expect(actual).toHaveLength(expected.length);
        for (const [index, value] of expected.entries()) expect(actual[index]).toBeCloseTo(value, 5);
        expectSameWeights(pair);
        tf.dispose([x, y]);
      }
    });
  });

  it('predicts a single mini-batch to the same outputs', async () => {
    await withPair(branching, backend, piped, async (pair, trainer) => {
      const { x } = branching.samples(11, 5);
      const expected = asList(pair.plain.predictOnBatch(x));
      const actual = asList(await trainer.predictOnBatch(x));
      expectTensorsClose(actual, expected, 'output');
    });
  });
});

describeOnBackends('mini-batches of any sizes', backend => {
  it('in any order train as in plain fitDataset, for any number of micro-batches', async () => {
    for (const microBatches of backend === 'cpu' ? [1, 3, 4] : [3]) {
      await withPair(mlp, backend, { stages: 2, microBatches }, async (pair, trainer) => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 }),
            fc.boolean(),
            async (sizes, watched) => {
              await expectSameFit(pair, trainer, () => datasetOf(mlp, sizes), undefined, watched);
            },
          ),
          { numRuns: backend === 'cpu' ? 8 : 3, seed: 7 },
        );
      });
    }
  });
});

describe('of the arguments of fitDataset', () => {
  const withCpu =
    (kind: ModelKind, use: (pair: Pair, trainer: PipelinedModel) => Promise<void>) => async () => {
      await tf.setBackend('cpu');
      await withPair(kind, 'cpu', piped, use);
    };

  it(
    'epochs of batchesPerEpoch go on where the last one stopped',
    withCpu(mlp, async (pair, trainer) => {
      const history = await expectSameFit(
        pair,
        trainer,
        () => datasetOf(mlp, [4, 5, 6, 7, 3, 2]),
        () => ({
          batchesPerEpoch: 3,
          initialEpoch: 0,
          validationData: datasetOf(mlp, [6], 50),
          validationBatches: 1,
        }),
      );
      expect(history.epoch).toEqual([0, 1]);
    }),
  );

  it(
    'a dataset that ends before its epochs do is warned of, and the history is that of plain fitDataset',
    withCpu(mlp, async (pair, trainer) => {
      const warnings: object[] = [];
      const events = trainer.events$.subscribe(event => event.kind === 'warning' && warnings.push(event));
      const history = await expectSameFit(
        pair,
        trainer,
        () => datasetOf(mlp, [4, 5, 6]),
        () => ({ epochs: 3, batchesPerEpoch: 2, validationData: datasetOf(mlp, [6], 50) }),
      );
      events.unsubscribe();
      expect(history.epoch).toEqual([0, 1, 2]);
      expect(history.history['val_loss']).toHaveLength(1);
      expect(warnings).toMatchObject([
        {
          code: 'DATASET_ENDED',
          epoch: 1,
          message: expect.stringMatching(/after 1 of the 2 .*epoch 1.* 6 in all/),
        },
        { code: 'DATASET_ENDED', epoch: 2, message: expect.stringMatching(/after 0 of the 2/) },
      ]);
    }),
  );

  it(
    'class weights count',
    withCpu(mlp, async (pair, trainer) => {
      await expectSameFit(
        pair,
        trainer,
        () => datasetOf(mlp, [8, 5]),
        () => ({ classWeight: { 0: 0.2, 1: 3, 2: 1, 3: 0.7 } }),
      );
    }),
  );

  it(
    'validation on tensors has a batch size of its own',
    withCpu(mlp, async (pair, trainer) => {
      const held = mlp.samples(11, 90);
      await expectSameFit(
        pair,
        trainer,
        () => datasetOf(mlp, [8, 5]),
        () => ({ validationData: [held.x, held.y] as never, validationBatchSize: 4 }),
      );
    }),
  );

  it(
    'dictionaries by name and lists are put in the order of the model',
    withCpu(branching, async (pair, trainer) => {
      const [left, right] = pair.plain.inputNames as [string, string];
      const named = (model: tf.LayersModel) =>
        tf.data.generator(function* () {
          for (const size of [6, 3]) {
            const { x, y } = branching.samples(size, size) as { x: tf.Tensor[]; y: tf.Tensor[] };
            const [first, second] = model.inputNames as [string, string];
            yield { xs: { [second]: x[1]!, [first]: x[0]! }, ys: { amount: y[1]!, label: y[0]! } };
          }
        } as () => Iterator<tf.TensorContainer>);
      expect([left, right]).toHaveLength(2);
      start(pair, 'momentum', 4);
      const args = { epochs: 2, verbose: 0 as const };
      const expected = await pair.plain.fitDataset(named(pair.plain) as never, args);
      expectSameHistory(await trainer.fitDataset(named(pair.piped), args), expected);
      expectSameWeights(pair);
    }),
  );

  it(
    'stopTraining in the last onBatchEnd of an epoch of batchesPerEpoch still validates, as in tfjs',
    withCpu(mlp, async (pair, trainer) => {
      for (const batchesPerEpoch of [2, undefined]) {
        start(pair, 'sgd', 1);
        const args = (model: tf.LayersModel) => ({
          epochs: 3,
          verbose: 0 as const,
          ...(batchesPerEpoch === undefined ? {} : { batchesPerEpoch }),
          validationData: datasetOf(mlp, [5], 60),
          callbacks: {
            onBatchEnd: (batch: number) => {
              if (batch === 1) model.stopTraining = true;
            },
          },
        });
        const dataset = () => datasetOf(mlp, [4, 4]).repeat(2);
        const expected = await pair.plain.fitDataset(dataset() as never, args(pair.plain) as never);
        const actual = await trainer.fitDataset(dataset(), args(pair.piped));
        expectSameHistory(actual, expected);
        expect('val_loss' in actual.history).toBe(batchesPerEpoch === 2);
        expectSameWeights(pair);
      }
    }),
  );

  it('sequences of any length train in whatever order they come', async () => {
    await tf.setBackend('cpu');
    const lengths: ModelKind = {
      name: 'sequences',
      loss: 'categoricalCrossentropy',
      metrics: ['accuracy'],
      build: () =>
        tf.sequential({
          layers: [
            tf.layers.embedding({ inputDim: 9, outputDim: 4, batchInputShape: [null, null] as never }),
            tf.layers.lstm({ units: 5, returnSequences: true }),
            tf.layers.globalAveragePooling1d({}),
            tf.layers.dense({ units: 4, activation: 'softmax' }),
          ],
        }),
      samples: (count, seed) => ({
        x: integers([count, (seed * 7) % 23 || 1], seed, 0, 9),
        y: oneHot(count, 4, seed),
      }),
    };
    await withPair(lengths, 'cpu', { stages: 2, microBatches: 2 }, async (pair, trainer) => {
      for (const seed of [1, 5, 9]) {
        await expectSameFit(pair, trainer, () => datasetOf(lengths, [4, 6, 2, 6, 1], seed));
      }
    });
  });

  it('labels of sequences need no axis of their own, as in plain fitDataset', async () => {
    await tf.setBackend('cpu');
    const tagging: ModelKind = {
      name: 'a tagger',
      loss: 'sparseCategoricalCrossentropy',
      metrics: [],
      build: () =>
        tf.sequential({
          layers: [
            tf.layers.dense({ inputShape: [5, 3], units: 6, activation: 'tanh' }),
            tf.layers.dense({ units: 4, activation: 'softmax' }),
          ],
        }),
      samples: (count, seed) => ({
        x: uniform([count, 5, 3], seed),
        y: integers([count, 5], seed, 0, 4),
      }),
    };
    await withPair(tagging, 'cpu', { stages: 2, microBatches: 2 }, async (pair, trainer) => {
      await expectSameFit(pair, trainer, () => datasetOf(tagging, [6, 3]));
    });
  });

  it('a larger session that is open already changes no bit', async () => {
    await tf.setBackend('cpu');
    const weightsAfter = async (sizeBefore: number): Promise<number[][]> => {
      let weights: number[][] = [];
      await withPair(mlp, 'cpu', { stages: 2, microBatches: 3 }, async (pair, trainer) => {
        await trainer.fitDataset(() => [dispensable(sizeBefore)], { epochs: 1 });
        start(pair, 'adam', 2);
        await trainer.fitDataset(datasetOf(mlp, [7, 10, 2]), { epochs: 2 });
        weights = pair.piped.getWeights().map(weight => [...weight.dataSync()]);
      });
      return weights;
    };
    const dispensable = (size: number): DatasetBatch => {
      const { x, y } = mlp.samples(size, 1);
      return { xs: x, ys: y };
    };
    expect(await weightsAfter(64)).toEqual(await weightsAfter(1));
  });

  it('epochs of growing mini-batches open few sessions, and none again', async () => {
    await tf.setBackend('cpu');
    const open = vi.spyOn(DriverSession, 'open');
    await withPair(mlp, 'cpu', { stages: 2, microBatches: 2 }, async (_pair, trainer) => {
      const growing = () =>
        datasetOf(
          mlp,
          Array.from({ length: 40 }, (_, index) => index + 1),
        );
      open.mockClear();
      await trainer.fitDataset(growing(), { epochs: 3 });
      // Every one has at least twice the room of the one before; micro-batches grow from 1 row to 20.
      const rows = open.mock.calls.map(([, , { microBatchRows }]) => microBatchRows);
      for (const [index, count] of rows.slice(1).entries()) expect(count).toBeGreaterThan(2 * rows[index]!);
      expect(rows.at(-1)).toBeGreaterThanOrEqual(20);
      open.mockClear();
      await trainer.fitDataset(growing(), { epochs: 1 });
      expect(open).not.toHaveBeenCalled();
    });
    open.mockRestore();
  });
});
