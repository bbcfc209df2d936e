/** Sample weights and loss weights, which tfjs lacks: the oracle is a step written by hand with tfjs's own losses. */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import type { FitArgs, PipelinedModel } from 'millrace';
import { expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { expectClose } from '../helpers/compare.js';
import { uniform } from '../helpers/data.js';
import { branching, type ModelKind, mlp } from '../helpers/models.js';
import { asList, expectSameWeights, type Pair, start, withPair } from './support.js';

const piped = { stages: 3, microBatches: 4 } as const;

const LOSSES: Readonly<Record<string, (yTrue: tf.Tensor, yPred: tf.Tensor) => tf.Tensor>> = {
  categoricalCrossentropy: tf.metrics.categoricalCrossentropy,
  meanSquaredError: tf.metrics.meanSquaredError,
};

interface Weighting {
  /** One weight a sample for each output. */
  readonly samples: readonly (tf.Tensor1D | null)[];
  readonly losses: readonly number[];
}

/** mean(loss · sample weight) of each output, and their weighted sum; trains on it if asked to. */
function stepByHand(
  model: tf.LayersModel,
  { loss }: ModelKind,
  xs: tf.Tensor[],
  ys: tf.Tensor[],
  weighting: Weighting,
  train: boolean,
): { readonly total: number; readonly losses: readonly number[] } {
  let losses: number[] = [];
  const objective = (): tf.Scalar => {
    const outputs = asList(model.apply(xs.length === 1 ? xs[0]! : xs, { training: train }) as tf.Tensor[]);
    const means = outputs.map((output, index) => {
      const each = LOSSES[asList(loss)[index] as string]!(ys[index]!, output);
      const weights = weighting.samples[index];
      return tf.mean(weights ? tf.mul(each, weights) : each);
    });
    losses = means.map(mean => mean.dataSync()[0]!);
    return tf.addN(means.map((mean, index) => tf.mul(mean, weighting.losses[index]!))) as tf.Scalar;
  };
  return tf.tidy(() => {
    const total = train ? model.optimizer.minimize(objective, true)! : objective();
    return { total: total.dataSync()[0]!, losses };
  });
}

interface Case {
  readonly pair: Pair;
  readonly trainer: PipelinedModel;
  readonly sampleCount: number;
  readonly batchSize: number;
  readonly weighting: Weighting;
  readonly fit: FitArgs;
}

/** Fits a model by hand and its twin as a pipeline, mini-batch by mini-batch, and compares losses and weights. */
async function expectSameAsByHand(run: Case): Promise<void> {
  const { pair, trainer, sampleCount, batchSize, weighting, fit } = run;
  start(pair, 'momentum', 3);
  const { x, y } = pair.kind.samples(sampleCount, 5);
  const expected: number[] = [];
  for (let from = 0; from < sampleCount; from += batchSize) {
    const count = Math.min(batchSize, sampleCount - from);
    const rows = <T extends tf.Tensor>(tensor: T): T => tf.slice(tensor, from, count);
    const batch = { ...weighting, samples: weighting.samples.map(weights => weights && rows(weights)) };
    expected.push(
      stepByHand(pair.plain, pair.kind, asList(x).map(rows), asList(y).map(rows), batch, true).total,
    );
  }
  const actual: number[] = [];
  await trainer.fit(x, y, {
    batchSize,
    shuffle: false,
    callbacks: { onBatchEnd: (_, logs) => void actual.push(logs!['loss'] as number) },
    ...fit,
  });
  expectClose(actual, expected, 'losses');
  expectSameWeights(pair);
}

describeOnBackends('training with weights equals a step by hand', backend => {
  it('for sample weights, whatever the mini-batches and micro-batches', async () => {
    for (const microBatches of [1, 4]) {
      await withPair(mlp, backend, { stages: 2, microBatches }, async (pair, trainer) => {
        const sizes = fc.record({
          sampleCount: fc.integer({ min: 1, max: 24 }),
          batchSize: fc.integer({ min: 1, max: 12 }),
        });
        await fc.assert(
          fc.asyncProperty(sizes, async ({ sampleCount, batchSize }) => {
            const sampleWeight = uniform([sampleCount], 8, 0, 3) as tf.Tensor1D;
            const weighting = { samples: [sampleWeight], losses: [1] };
            await expectSameAsByHand({
              pair,
              trainer,
              sampleCount,
              batchSize,
              weighting,
              fit: { sampleWeight },
            });
          }),
          { numRuns: backend === 'cpu' ? 10 : 4, seed: 11 },
        );
      });
    }
  });

  it('for sample weights of one of two outputs, and loss weights', async () => {
    await withPair(branching, backend, { ...piped, lossWeights: [0.3, 2] }, async (pair, trainer) => {
      const amount = uniform([13], 9, 0, 2) as tf.Tensor1D;
      const weighting = { samples: [null, amount], losses: [0.3, 2] };
      const run = { pair, trainer, sampleCount: 13, batchSize: 6, weighting };
      await expectSameAsByHand({ ...run, fit: { sampleWeight: { amount } } });
      await expectSameAsByHand({ ...run, fit: { sampleWeight: [null, amount] } });
    });
  });

  it('for sample weights times class weights', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      const classWeight = { 0: 0.5, 1: 2, 2: 1, 3: 3 };
      const sampleWeight = uniform([10], 9, 0, 2) as tf.Tensor1D;
      const { y } = mlp.samples(10, 5);
      const ofClass = tf.tidy(() =>
        tf.gather(tf.tensor1d(Object.values(classWeight)), tf.argMax(y as tf.Tensor, 1) as tf.Tensor1D),
      );
      const weighting = { samples: [tf.mul(sampleWeight, ofClass) as tf.Tensor1D], losses: [1] };
      const fit = { sampleWeight, classWeight };
      await expectSameAsByHand({ pair, trainer, sampleCount: 10, batchSize: 4, weighting, fit });
    });
  });

  it('also when evaluating, with steps, and when validating', async () => {
    const options = { ...piped, lossWeights: { amount: 0.5 } };
    await withPair(branching, backend, options, async (pair, trainer) => {
      start(pair, 'sgd', 3);
      const { x, y } = branching.samples(11, 5);
      const label = uniform([11], 9, 0, 2) as tf.Tensor1D;
      const weighting = { samples: [label, null], losses: [1, 0.5] };
      const expected = stepByHand(pair.plain, branching, asList(x), asList(y), weighting, false);
      const scores = asList(await trainer.evaluate(x, y, { batchSize: 4, sampleWeight: { label } }));
      const values = scores.map(score => score.dataSync()[0]!);
      expectClose(values.slice(0, 3), [expected.total, ...expected.losses], 'scores');

      const head = (tensor: tf.Tensor): tf.Tensor => tf.slice(tensor, 0, 8);
      const first = stepByHand(
        pair.plain,
        branching,
        asList(x).map(head),
        asList(y).map(head),
        { ...weighting, samples: [head(label) as tf.Tensor1D, null] },
        false,
      );
      const some = asList(
        await trainer.evaluate(x, y, { batchSize: 4, steps: 2, sampleWeight: [label, null] }),
      );
      expectClose(
        some.slice(0, 3).map(score => score.dataSync()[0]!),
        [first.total, ...first.losses],
        'scores',
      );

      const none = tf.zeros([11]) as tf.Tensor1D;
      const { history } = await trainer.fit(x, y, {
        batchSize: 4,
        shuffle: false,
        sampleWeight: [none, none],
        validationData: [x, y, [label, null]],
      });
      // Weights of zero teach nothing, so that the validation sees the model of before.
      expect(history['loss']).toEqual([0]);
      expectClose(history['val_loss'] as number[], [expected.total], 'val_loss');
    });
  });

  it('of the samples that validationSplit holds back too', async () => {
    await withPair(mlp, backend, piped, async (pair, trainer) => {
      start(pair, 'sgd', 3);
      const { x, y } = mlp.samples(10, 5);
      const sampleWeight = tf.concat([tf.zeros([6]), uniform([4], 9, 0, 2)]) as tf.Tensor1D;
      const tail = (tensor: tf.Tensor | tf.Tensor[]): tf.Tensor => tf.slice(tensor as tf.Tensor, 6, 4);
      const weighting = { samples: [tail(sampleWeight) as tf.Tensor1D], losses: [1] };
      const expected = stepByHand(pair.plain, mlp, [tail(x)], [tail(y)], weighting, false);
      const { history } = await trainer.fit(x, y, { batchSize: 3, validationSplit: 0.4, sampleWeight });
      expectClose(history['val_loss'] as number[], [expected.total], 'val_loss');
    });
  });

  it('spreads over the time steps of a sequence', async () => {
    const sequences: ModelKind = {
      name: 'a sequence model',
      loss: 'meanSquaredError',
      metrics: [],
      build: () =>
        tf.sequential({
          layers: [
            tf.layers.lstm({ inputShape: [5, 3], units: 4, returnSequences: true }),
            tf.layers.timeDistributed({ layer: tf.layers.dense({ units: 2 }) }),
          ],
        }),
      samples: (count, seed) => ({ x: uniform([count, 5, 3], seed), y: uniform([count, 5, 2], seed + 1) }),
    };
    await withPair(sequences, backend, { stages: 2, microBatches: 2 }, async (pair, trainer) => {
      start(pair, 'sgd', 3);
      const { x, y } = sequences.samples(7, 2) as { x: tf.Tensor; y: tf.Tensor };
      const sampleWeight = uniform([7], 9, 0, 2) as tf.Tensor1D;
      const expected = tf.tidy(() => {
        const each = tf.metrics.meanSquaredError(y, pair.plain.predict(x) as tf.Tensor);
        return tf.mean(tf.mul(each, tf.reshape(sampleWeight, [7, 1]))).dataSync()[0]!;
      });
      const score = (await trainer.evaluate(x, y, { sampleWeight })) as tf.Scalar;
      expectClose(score.dataSync(), [expected], 'score');
      const value = (await trainer.trainOnBatch(x, y, { sampleWeight })) as number;
      expectClose([value], [expected], 'loss');
    });
  });
});
