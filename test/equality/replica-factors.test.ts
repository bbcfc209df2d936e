/**
 * Replicas whose weights are larger than what their samples make of them: gradients cross as factors where the backend has them, and
 * the rows of a matrix that is most of the model are divided among them.
 */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import type { PipelinedModel } from 'millrace';
import { expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { integers, uniform } from '../helpers/data.js';
import type { ModelKind } from '../helpers/models.js';
import { poisonFreedSlots } from '../helpers/poison.js';
import {
  expectSameTraining,
  expectSameWeights,
  OPTIMIZERS,
  type OptimizerName,
  type Pair,
  start,
  type TrainingRun,
  withPair,
} from './support.js';

const { layers } = tf;
const INPUTS = 20;
const WIDTH = 24;

interface Shape {
  /** Called twice: its gradient is one product and what the other call adds. */
  readonly isShared: boolean;
  readonly isPenalised: boolean;
  readonly isFrozen: boolean;
  /** Products over samples and places. */
  readonly hasPlaces: boolean;
}

function wide({ isShared, isPenalised, isFrozen, hasPlaces }: Shape): ModelKind {
  return {
    name: 'wide layers',
    loss: 'meanSquaredError',
    metrics: ['mae'],
    build() {
      const input = tf.input({ shape: hasPlaces ? [2, INPUTS] : [INPUTS] });
      const regularizer = tf.regularizers.l2({ l2: 0.01 });
      const stack: tf.layers.Layer[] = [
        layers.dense({
          units: WIDTH,
          activation: 'tanh',
          ...(isPenalised && { kernelRegularizer: regularizer }),
        }),
        layers.dense({ units: WIDTH, trainable: !isFrozen }),
        layers.dense({ units: WIDTH, activation: 'sigmoid', useBias: false }),
      ];
      if (isShared) stack.push(stack[2]!);
      if (hasPlaces) stack.push(layers.flatten());
      stack.push(layers.dense({ units: 3 }));
      const output = stack.reduce(
        (value, layer) => layer.apply(value) as tf.SymbolicTensor,
        input as tf.SymbolicTensor,
      );
      return tf.model({ inputs: input, outputs: output });
    },
    samples: (count, seed) => ({
      x: uniform([count, ...(hasPlaces ? [2] : []), INPUTS], seed),
      y: uniform([count, 3], seed + 1),
    }),
  };
}

const shapes = fc.record({
  isShared: fc.boolean(),
  isPenalised: fc.boolean(),
  isFrozen: fc.boolean(),
  hasPlaces: fc.boolean(),
});

/** One weight in all: but one of the replicas step nothing. */
const single: ModelKind = {
  name: 'one weight',
  loss: 'meanSquaredError',
  metrics: [],
  build: () => tf.sequential({ layers: [layers.dense({ units: 9, useBias: false, inputShape: [INPUTS] })] }),
  samples: (count, seed) => ({ x: uniform([count, INPUTS], seed), y: uniform([count, 9], seed + 1) }),
};

interface Division {
  readonly first: 'dense' | 'wider dense' | 'embedding';
  readonly isPenalised: boolean;
}

const VOCABULARY = 400;

/** Two replicas divide the first matrix, of 80,000, 120,000 or 76,000 elements; three only the wider kernel, the others leave one without. */
function divided({ first, isPenalised }: Division): ModelKind {
  const regularizer = isPenalised ? tf.regularizers.l2({ l2: 0.01 }) : undefined;
  const isEmbedding = first === 'embedding';
  const matrix = () =>
    isEmbedding
      ? [
          layers.embedding({
            inputDim: VOCABULARY,
            outputDim: 190,
            inputLength: 2,
            ...(regularizer && { embeddingsRegularizer: regularizer }),
          }),
          layers.flatten(),
        ]
      : [
          layers.dense({
            units: first === 'dense' ? 400 : 600,
            inputShape: [200],
            useBias: false,
            ...(regularizer && { kernelRegularizer: regularizer }),
          }),
        ];
  return {
    name: `a divided ${first}`,
    loss: 'meanSquaredError',
    metrics: ['mae'],
    build: () => tf.sequential({ layers: [...matrix(), layers.dense({ units: 3, activation: 'tanh' })] }),
    samples: (count, seed) => ({
      // Small inputs, and no bias: hundreds of large values make SGD diverge, which amplifies what is rounded otherwise, also with one worker.
      x: isEmbedding ? integers([count, 2], seed, 0, VOCABULARY) : uniform([count, 200], seed, -0.01, 0.01),
      y: uniform([count, 3], seed + 1),
    }),
  };
}

const plainly: Shape = { isShared: false, isPenalised: false, isFrozen: false, hasPlaces: false };

/** Without the step count. They stay the optimizer's. */
async function slotsOf({ optimizer }: tf.LayersModel): Promise<tf.Tensor[]> {
  const [iterations, ...slots] = await optimizer.getWeights();
  iterations!.tensor.dispose();
  return slots.map(({ tensor }) => tensor);
}

/** As a user sets an optimizer's state. */
async function doubleSlots(optimizer: tf.Optimizer): Promise<void> {
  const [iterations, ...slots] = await optimizer.getWeights();
  const doubled = slots.map(({ name, tensor }) => ({ name, tensor: tf.mul(tensor, 2) }));
  await optimizer.setWeights([iterations!, ...doubled]);
  tf.dispose([iterations!.tensor, slots.map(({ tensor }) => tensor), doubled.map(({ tensor }) => tensor)]);
}

const partings = fc.record({
  replicas: fc.integer({ min: 2, max: 3 }),
  microBatches: fc.integer({ min: 1, max: 2 }),
  stages: fc.integer({ min: 1, max: 2 }),
});

const optimizers = fc.constantFrom(...(Object.keys(OPTIMIZERS) as OptimizerName[]));

/** The second time leaves no more in memory than the first. */
async function expectSameTrainingTwice(pair: Pair, trainer: PipelinedModel, run: TrainingRun): Promise<void> {
  await expectSameTraining(pair, trainer, run);
  const before = await trainer.memory();
  await expectSameTraining(pair, trainer, run);
  expect(await trainer.memory()).toEqual(before);
}

describeOnBackends('replicas of wide layers', backend => {
  poisonFreedSlots();

  it('train as plain fit does, however uneven their parts are', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        partings,
        optimizers,
        // Up to ten rows a replica have smaller factors than a kernel of 20 × 24.
        fc.record({
          batchSize: fc.integer({ min: 4, max: 33 }),
          sampleCount: fc.integer({ min: 30, max: 70 }),
        }),
        async (shape, parts, optimizer, { batchSize, sampleCount }) => {
          const workers = parts.replicas * parts.stages;
          await withPair(wide(shape), backend, { ...parts, workers }, async (pair, trainer) => {
            const run = { sampleCount, optimizer, seed: 3, fit: { batchSize } };
            await expectSameTrainingTwice(pair, trainer, run);
          });
        },
      ),
      // Elsewhere gradients cross as they are.
      { numRuns: backend === 'tensorflow' ? 12 : 4 },
    );
  });

  it('train as plain fit does where they divide a weight, and leave the optimizer what plain fit leaves', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          first: fc.constantFrom('dense' as const, 'wider dense' as const, 'embedding' as const),
          isPenalised: fc.boolean(),
        }),
        partings,
        optimizers,
        // A last mini-batch may leave a replica without samples.
        fc.record({
          batchSize: fc.integer({ min: 3, max: 16 }),
          sampleCount: fc.integer({ min: 17, max: 40 }),
        }),
        async (division, parts, optimizer, { batchSize, sampleCount }) => {
          const workers = parts.replicas * parts.stages;
          await withPair(divided(division), backend, { ...parts, workers }, async (pair, trainer) => {
            const run = { sampleCount, optimizer, seed: 3, fit: { batchSize } };
            await expectSameTrainingTwice(pair, trainer, run);
            const [slots, expected] = await Promise.all([slotsOf(pair.piped), slotsOf(pair.plain)]);
            expectTensorsClose(slots, expected, 'slot');
            for (const { optimizer: own } of [pair.piped, pair.plain]) await doubleSlots(own);
            const { x, y } = pair.kind.samples(batchSize, 7);
            await pair.plain.fit(x, y, { batchSize, shuffle: false });
            await trainer.fit(x, y, { batchSize, shuffle: false });
            expectSameWeights(pair);
            tf.dispose([x, y]);
          });
        },
      ),
      { numRuns: backend === 'tensorflow' ? 8 : 3 },
    );
  });

  it.each([
    [2, wide({ ...plainly, isPenalised: true })],
    [2, divided({ first: 'dense', isPenalised: true })],
    [3, divided({ first: 'embedding', isPenalised: false })],
    [3, divided({ first: 'wider dense', isPenalised: false })],
    [3, single],
  ])('are clipped by the norm of what nobody has computed before, %d of them', async (count, kind) => {
    const trained: tf.Tensor[][] = [];
    for (const replicas of [1, count]) {
      const options = { replicas, stages: 1, workers: replicas, clipNorm: 0.05 } as const;
      await withPair(kind, backend, options, async ({ piped }, trainer) => {
        const { x, y } = kind.samples(24, 5);
        await trainer.fit(x, y, { batchSize: 8, epochs: 2, shuffle: false });
        trained.push(piped.getWeights().map(weight => weight.clone()));
        tf.dispose([x, y]);
      });
    }
    expectTensorsClose(trained[1]!, trained[0]!, 'weight');
    tf.dispose(trained);
  });

  const kinds = [wide(plainly), divided({ first: 'wider dense', isPenalised: false })].map(
    kind => [kind.name, kind] as const,
  );

  it('do not divide what an optimizer looks at as a whole', async () => {
    const kind = divided({ first: 'dense', isPenalised: false });
    const setup = new URL('fixtures/normed-sgd.mjs', import.meta.url).href;
    const { NormedSgd } = (await import(setup)) as { NormedSgd: new (rate: number) => tf.Optimizer };
    await withPair(kind, backend, { replicas: 2, setup }, async (pair, trainer) => {
      start(pair, 'sgd', 5);
      for (const model of [pair.plain, pair.piped]) {
        model.compile({ optimizer: new NormedSgd(0.1), loss: kind.loss, metrics: kind.metrics });
      }
      const { x, y } = kind.samples(24, 5);
      const args = { batchSize: 8, shuffle: false, verbose: 0 } as const;
      await pair.plain.fit(x, y, args);
      await trainer.fit(x, y, args);
      expectSameWeights(pair);
      tf.dispose([x, y]);
    });
  });

  it.each(kinds)(
    'take weights that are set between two mini-batches, epochs or fits: %s',
    async (_, kind) => {
      await withPair(kind, backend, { replicas: 3, workers: 3 }, async (pair, trainer) => {
        start(pair, 'adam', 5);
        const { x, y } = kind.samples(20, 5);
        const halve = (model: tf.LayersModel): void =>
          tf.tidy(() => model.setWeights(model.getWeights().map(weight => tf.mul(weight, 0.5))));
        const args = (model: tf.LayersModel) => ({
          batchSize: 8,
          epochs: 2,
          shuffle: false,
          verbose: 0 as const,
          callbacks: {
            onBatchEnd: async (batch: number) => (batch === 1 ? halve(model) : undefined),
            onEpochEnd: async (epoch: number) => (epoch === 0 ? halve(model) : undefined),
          },
        });
        for (let fit = 0; fit < 2; fit++) {
          await pair.plain.fit(x, y, args(pair.plain));
          await trainer.fit(x, y, args(pair.piped));
          for (const model of [pair.plain, pair.piped]) halve(model);
        }
        await pair.plain.fit(x, y, { ...args(pair.plain), callbacks: {} });
        await trainer.fit(x, y, { ...args(pair.piped), callbacks: {} });
        expectSameWeights(pair, 1e-4);
        tf.dispose([x, y]);
      });
    },
  );

  it.each(kinds)('begin anew after a fit that was broken off: %s', async (_, kind) => {
    await withPair(kind, backend, { replicas: 3, workers: 3 }, async (pair, trainer) => {
      const { x, y } = kind.samples(40, 5);
      const stop = new AbortController();
      const broken = trainer.fit(x, y, {
        batchSize: 4,
        epochs: 50,
        signal: stop.signal,
        callbacks: { onBatchEnd: async (batch: number) => (batch === 3 ? stop.abort() : undefined) },
      });
      await expect(broken).rejects.toThrow();
      tf.dispose([x, y]);
      await expectSameTraining(pair, trainer, {
        sampleCount: 21,
        optimizer: 'adam',
        seed: 5,
        fit: { batchSize: 8 },
      });
    });
  });
});
