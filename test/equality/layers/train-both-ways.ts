/** Trains a tiny model of one layer class plainly and as a pipeline of two stages, from the same weights on the same samples. */
import * as tf from '@tensorflow/tfjs';
import type { PipelinedModel } from 'millrace';
import { expect } from 'vitest';
import { readGraph } from '#internal/model/index.js';
import { RandomContext, useCounterRandom } from '#internal/stages/random/index.js';
import type { BackendName } from '../../helpers/backends.js';
import type { CheckedShelf } from '../../helpers/checked-shelf.js';
import { expectClose, expectTensorsClose } from '../../helpers/compare.js';
import { integers, seedWeights, uniform } from '../../helpers/data.js';
import { buildModel, type LayerCase } from '../../helpers/layer-cases.js';
import { withTrainer } from '../../helpers/trainer.js';

const STEPS = 3;
const EPOCHS = 2;
const SEED = 20;
/** Looser than for weights: what is left of their rounding after the start has been subtracted. */
const CHANGE_TOLERANCE = 1e-3;

export interface Trained {
  readonly model: tf.LayersModel;
  readonly losses: readonly number[];
}

interface Samples {
  readonly x: tf.Tensor;
  readonly y: tf.Tensor;
}

/** With random layers that draw as in a trainer: what tfjs draws nobody can know. Throws where the model does not learn. */
export async function trainPlainly(layerCase: LayerCase): Promise<Trained> {
  const model = start(layerCase);
  const random = new RandomContext(SEED);
  for (const { layer, index } of readGraph(model).layers) useCounterRandom(layer, String(index), random);
  const first = model.trainableWeights.map(weight => weight.read().clone());
  const { x, y } = drawSamples(layerCase);
  let step = 0;
  const { history } = await model.fit(x, y, {
    ...fitArgs(layerCase),
    yieldEvery: 'never',
    callbacks: { onBatchBegin: async () => random.begin(step++, 0) },
  });
  const losses = history['loss'] as number[];
  expect(losses.every(Number.isFinite), `losses ${losses}`).toBe(true);
  for (const [index, weight] of model.trainableWeights.entries()) {
    const moved = tf.tidy(() => tf.max(tf.abs(tf.sub(weight.read(), first[index]!))).dataSync()[0]!);
    expect(moved, `change of ${weight.originalName}`).toBeGreaterThan(0);
  }
  tf.dispose([x, y, first]);
  return { model, losses };
}

/** Fails unless the pipeline's losses and weights are those of `plain`. */
export async function expectSamePiped(
  layerCase: LayerCase,
  plain: Trained,
  backend: BackendName,
  threads: CheckedShelf,
): Promise<void> {
  const model = start(layerCase);
  const first = model.getWeights().map(weight => weight.clone());
  const { x, y } = drawSamples(layerCase);
  // Three of four samples: parts of different sizes.
  const microBatches = layerCase.className === 'BatchNormalization' ? 1 : Math.min(3, batchSizeOf(layerCase));
  const options = { backend, partition: 'uniform', stages: 2, workers: 2, microBatches, seed: SEED } as const;
  const use = async (trainer: PipelinedModel): Promise<void> => {
    const { history } = await trainer.fit(x, y, fitArgs(layerCase));
    expectClose(history['loss'] as number[], plain.losses, 'losses');
    expectTensorsClose(model.getWeights(), plain.model.getWeights(), 'weight');
    tf.tidy(() => {
      const moved = (trained: tf.LayersModel): tf.Tensor[] =>
        trained.getWeights().map((weight, index) => tf.sub(weight, first[index]!));
      expectTensorsClose(moved(model), moved(plain.model), 'change of weight', CHANGE_TOLERANCE);
    });
  };
  await withTrainer(model, options, use, threads);
  tf.dispose([x, y, first]);
  model.dispose();
}

function start(layerCase: LayerCase): tf.LayersModel {
  const model = buildModel(layerCase);
  seedWeights(model, 1);
  return model;
}

function batchSizeOf({ batchSize = 4 }: LayerCase): number {
  return batchSize;
}

function fitArgs(layerCase: LayerCase) {
  return { batchSize: batchSizeOf(layerCase), epochs: EPOCHS, shuffle: false, verbose: 0 } as const;
}

function drawSamples(layerCase: LayerCase): Samples {
  const count = STEPS * batchSizeOf(layerCase);
  const shape = [count, ...layerCase.inputShape];
  const { integersBelow } = layerCase;
  return {
    x: integersBelow === undefined ? uniform(shape, 11) : integers(shape, 11, 0, integersBelow),
    y: uniform([count, 2], 12),
  };
}
