/** Training that goes on for long enough that layers and losses become graphs: the numbers of plain `fit`, under every kind of plan. */
import * as tf from '@tensorflow/tfjs';
import type { PipelineOptions } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import { CALLS_BEFORE_TRACE } from '#internal/stages/tracing/index.js';
import { backends, useBackend } from '../helpers/backends.js';
import { integers, oneHot, uniform } from '../helpers/data.js';
import { branching, cnn, type ModelKind } from '../helpers/models.js';
import { expectSameTraining, withPair } from './support.js';

const { layers } = tf;

/** A graph of many layers, with kernels that are more than what a few samples make of them. */
const deep: ModelKind = {
  name: 'deep',
  loss: 'categoricalCrossentropy',
  metrics: ['accuracy'],
  build: () =>
    tf.sequential({
      layers: [
        layers.dense({ units: 24, activation: 'tanh', inputShape: [20] }),
        layers.dense({ units: 24, activation: 'sigmoid' }),
        layers.dense({ units: 24 }),
        layers.activation({ activation: 'tanh' }),
        layers.dense({ units: 24, activation: 'softsign' }),
        layers.dense({ units: 3, activation: 'softmax' }),
      ],
    }),
  samples: (count, seed) => ({ x: uniform([count, 20], seed), y: oneHot(count, 3, seed + 1) }),
};

/** Tokens, norms and a skip connection. */
const encoder: ModelKind = {
  name: 'encoder',
  loss: 'meanSquaredError',
  metrics: ['mae'],
  build() {
    const input = tf.input({ shape: [5] });
    const apply = (layer: tf.layers.Layer, x: tf.SymbolicTensor | tf.SymbolicTensor[]): tf.SymbolicTensor =>
      layer.apply(x) as tf.SymbolicTensor;
    const embedded = apply(layers.embedding({ inputDim: 7, outputDim: 6 }), input);
    const normed = apply(layers.layerNormalization(), embedded);
    const wide = apply(layers.dense({ units: 12, activation: 'tanh' }), normed);
    const narrow = apply(layers.dense({ units: 6 }), wide);
    const sum = apply(layers.add(), [embedded, narrow]);
    const pooled = apply(layers.globalAveragePooling1d({}), sum);
    return tf.model({ inputs: input, outputs: apply(layers.dense({ units: 2 }), pooled) });
  },
  samples: (count, seed) => ({ x: integers([count, 5], seed, 0, 7), y: uniform([count, 2], seed + 1) }),
};

const PLANS: readonly (PipelineOptions & { readonly stages?: number })[] = [
  { stages: 1, workers: 1, microBatches: 1 },
  { stages: 2, workers: 2, microBatches: 2 },
  { stages: 2, workers: 2, microBatches: 4, schedule: '1f1b', recompute: 'always' },
  { replicas: 2, workers: 2, microBatches: 1 },
];

const BATCH_SIZE = 8;
/** The last mini-batch is a leftover, of another size. */
const SAMPLES = BATCH_SIZE * (CALLS_BEFORE_TRACE + 4) + 3;

describe.runIf(backends().includes('tensorflow'))(
  'training beyond the point at which layers become graphs',
  () => {
    beforeAll(() => useBackend('tensorflow'));

    const kinds = [deep, encoder, cnn, branching];
    it.each(kinds.flatMap(kind => PLANS.map(plan => ({ name: kind.name, kind, plan }))))(
      'is that of plain fit: $name, $plan',
      async ({ kind, plan }) => {
        await withPair(kind, 'tensorflow', plan, async (pair, trainer) => {
          await expectSameTraining(pair, trainer, {
            sampleCount: SAMPLES,
            optimizer: 'sgd',
            seed: 5,
            fit: { batchSize: BATCH_SIZE, epochs: 2 },
          });
          expect(trainer.plan.stages).toHaveLength(plan.stages ?? 1);
        });
      },
    );
  },
);
