/** Weights that several pieces of the cut model use, in one stage or in different ones. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { ModelError, pipeline } from 'millrace';
import { describe, expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { uniform } from '../helpers/data.js';
import type { ModelKind } from '../helpers/models.js';
import { expectSameInference, expectSameTraining, withPair } from './support.js';

const { layers } = tf;
const WIDTH = 6;
const REGRESSION = {
  loss: 'meanSquaredError',
  metrics: ['mae'],
  samples: (count: number, seed: number) => ({
    x: uniform([count, WIDTH], seed),
    y: uniform([count, 3], seed + 1),
  }),
};
const symbolic = (value: unknown) => value as tf.SymbolicTensor;
const dense = (name: string, units = WIDTH) => layers.dense({ name, units, activation: 'tanh' });

/** `shared` is called at the start, in the middle and near the end; it is penalised, once a call as in tfjs. */
const called: ModelKind = {
  ...REGRESSION,
  name: 'a layer called three times',
  build: () => {
    const shared = layers.dense({
      name: 'shared',
      units: WIDTH,
      activation: 'tanh',
      kernelRegularizer: tf.regularizers.l2({ l2: 0.05 }),
    });
    const input = tf.input({ shape: [WIDTH] });
    let value = symbolic(shared.apply(input));
    value = symbolic(dense('between1').apply(value));
    value = symbolic(shared.apply(value));
    value = symbolic(dense('between2').apply(value));
    value = symbolic(shared.apply(value));
    return tf.model({ inputs: input, outputs: symbolic(layers.dense({ units: 3 }).apply(value)) });
  },
};

/** `shared` stands alone, inside a nested model, and inside a second one. */
const nested: ModelKind = {
  ...REGRESSION,
  name: 'a layer that is also part of two nested models',
  build: () => {
    const shared = dense('shared');
    const block = (name: string): tf.LayersModel => {
      const inner = tf.input({ shape: [WIDTH] });
      const value = shared.apply(dense(`${name}-own`).apply(inner));
      return tf.model({ name, inputs: inner, outputs: symbolic(value) });
    };
    const input = tf.input({ shape: [WIDTH] });
    let value = symbolic(shared.apply(input));
    for (const name of ['block1', 'block2']) value = symbolic(block(name).apply(value));
    return tf.model({ inputs: input, outputs: symbolic(layers.dense({ units: 3 }).apply(value)) });
  },
};

const plans = fc.record({
  stages: fc.integer({ min: 1, max: 4 }),
  workers: fc.integer({ min: 1, max: 3 }),
  schedule: fc.constantFrom('gpipe', '1f1b', 'zero-bubble'),
  microBatches: fc.integer({ min: 1, max: 5 }),
  recompute: fc.constantFrom('never', 'always'),
});
const runs = fc.record({
  sampleCount: fc.integer({ min: 5, max: 20 }),
  optimizer: fc.constantFrom('sgd', 'momentum'),
  seed: fc.integer({ min: 1, max: 1000 }),
  fit: fc.record({ batchSize: fc.integer({ min: 1, max: 9 }) }),
});

describeOnBackends('tied weights train as in plain fit', backend => {
  describe.each([called, nested].map(kind => [kind.name, kind] as const))('of %s', (_, kind) => {
    it('for any plan', async () => {
      await fc.assert(
        fc.asyncProperty(plans, runs, async (plan, run) => {
          await withPair(kind, backend, plan, async (pair, trainer) => {
            await expectSameTraining(pair, trainer, run);
            // Twice: slots, copies and optimizer state must have been left in order.
            await expectSameTraining(pair, trainer, { ...run, seed: run.seed + 1 });
            await expectSameInference(pair, trainer, run);
          });
        }),
        {
          numRuns: 3,
          endOnFailure: true,
          examples: [
            [
              { stages: 4, workers: 2, schedule: '1f1b', microBatches: 3, recompute: 'never' },
              { sampleCount: 13, optimizer: 'momentum', seed: 7, fit: { batchSize: 5 } },
            ],
          ],
        },
      );
    });
  });

  it('when the layer is frozen', async () => {
    const frozen: ModelKind = {
      ...called,
      build: () => {
        const model = called.build();
        model.getLayer('shared').trainable = false;
        return model;
      },
    };
    await withPair(frozen, backend, { stages: 3, microBatches: 2 }, async (pair, trainer) => {
      await expectSameTraining(pair, trainer, {
        sampleCount: 8,
        optimizer: 'sgd',
        seed: 3,
        fit: { batchSize: 4 },
      });
    });
  });
});

describe('a layer in two nested models that keeps a state', () => {
  it('is refused with the names of all three', async () => {
    const norm = layers.batchNormalization({ name: 'norm' });
    const block = (name: string): tf.LayersModel => {
      const inner = tf.input({ shape: [WIDTH] });
      return tf.model({ name, inputs: inner, outputs: symbolic(norm.apply(inner)) });
    };
    const input = tf.input({ shape: [WIDTH] });
    const value = block('second').apply(block('first').apply(input));
    const model = tf.model({ inputs: input, outputs: symbolic(value) });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    const error = await pipeline(model, { backend: 'cpu' }).catch((refusal: unknown) => refusal);
    expect(error).toBeInstanceOf(ModelError);
    expect((error as Error).message).toMatch(/'norm' belongs to both 'first' and 'second'/);
  });
});
