/** Trains one model plainly and a second one as a pipeline, from the same weights on the same samples. */
import * as tf from '@tensorflow/tfjs';
import type { FitArgs, PipelinedModel, PipelineOptions } from 'millrace';
import { expect } from 'vitest';
import type { BackendName } from '../helpers/backends.js';
import { sharedThreads } from '../helpers/checked-shelf.js';
import { expectClose, expectTensorsClose } from '../helpers/compare.js';
import { seedWeights } from '../helpers/data.js';
import type { ModelKind, Samples } from '../helpers/models.js';
import { withTrainer } from '../helpers/trainer.js';

/** By name, because an optimizer holds the state of one model. */
export const OPTIMIZERS = {
  sgd: () => tf.train.sgd(0.1),
  momentum: () => tf.train.momentum(0.05, 0.9),
  nesterov: () => tf.train.momentum(0.05, 0.9, true),
  adam: () => tf.train.adam(0.01),
  rmsprop: () => tf.train.rmsprop(0.01),
  adagrad: () => tf.train.adagrad(0.05),
  adadelta: () => tf.train.adadelta(0.5),
} as const;

export type OptimizerName = keyof typeof OPTIMIZERS;

export interface TrainingRun {
  readonly sampleCount: number;
  readonly optimizer: OptimizerName;
  readonly seed: number;
  readonly fit: FitArgs;
}

/** The same architecture twice: one for plain `fit`, one to be wrapped. */
export interface Pair {
  readonly kind: ModelKind;
  readonly plain: tf.LayersModel;
  readonly piped: tf.LayersModel;
}

export function makePair(kind: ModelKind): Pair {
  const pair = { kind, plain: kind.build(), piped: kind.build() };
  start(pair, 'sgd', 1);
  return pair;
}

/** Gives both models the same weights and a new optimizer each. */
export function start({ kind, plain, piped }: Pair, optimizer: OptimizerName, seed: number): void {
  for (const model of [plain, piped]) {
    seedWeights(model, seed);
    model.compile({ optimizer: OPTIMIZERS[optimizer](), loss: kind.loss, metrics: kind.metrics });
  }
}

/** Of all trainers of the file that imports this one. */
const threads = sharedThreads();

export async function withPair(
  kind: ModelKind,
  backend: BackendName,
  options: PipelineOptions,
  use: (pair: Pair, trainer: PipelinedModel) => Promise<void>,
): Promise<void> {
  const pair = makePair(kind);
  try {
    // Equal layer counts as the cut: what is tested does not depend on what the machine measures.
    await withTrainer(
      pair.piped,
      { backend, partition: 'uniform', ...options },
      trainer => use(pair, trainer),
      threads,
    );
  } finally {
    pair.plain.dispose();
    pair.piped.dispose();
  }
}

/** Fits both from the same start and fails unless losses, metrics and weights are equal. */
export async function expectSameTraining(
  pair: Pair,
  trainer: PipelinedModel,
  run: TrainingRun,
): Promise<void> {
  start(pair, run.optimizer, run.seed);
  const { x, y } = pair.kind.samples(run.sampleCount, run.seed);
  const args = { epochs: 2, shuffle: false, verbose: 0, ...run.fit } as const;
  const expected = await pair.plain.fit(x, y, args as tf.ModelFitArgs);
  const actual = await trainer.fit(x, y, args);
  tf.dispose([x, y]);
  expectSameHistory(actual, expected);
  expectSameWeights(pair);
}

export function expectSameHistory(actual: tf.History, expected: tf.History, tolerance?: number): void {
  expect(actual.epoch).toEqual(expected.epoch);
  expect(Object.keys(actual.history)).toEqual(Object.keys(expected.history));
  for (const [name, values] of Object.entries(expected.history)) {
    expectClose(actual.history[name] as number[], values as number[], name, tolerance);
  }
}

/** Weights by layer and name, so that a failure says which. */
export function expectSameWeights({ plain, piped }: Pair, tolerance?: number): void {
  for (const [index, layer] of plain.layers.entries()) {
    const other = piped.layers[index]!;
    expectTensorsClose(other.getWeights(), layer.getWeights(), `weights of ${layer.name}, number`, tolerance);
  }
}

/** Scores and outputs on other samples than those trained on, at another batch size. */
export async function expectSameInference(
  { kind, plain }: Pair,
  trainer: PipelinedModel,
  { sampleCount, seed, fit }: TrainingRun,
): Promise<void> {
  const { x, y } = kind.samples(sampleCount + 1, seed + 1);
  const args = { batchSize: (fit.batchSize ?? 32) + 2 };
  const scores = asList(await trainer.evaluate(x, y, args));
  const expectedScores = plainScores(plain, x, y, args);
  expectTensorsClose(scores, expectedScores, 'score');
  const outputs = asList(await trainer.predict(x, args));
  const expectedOutputs = asList(plain.predict(x, args));
  expectTensorsClose(outputs, expectedOutputs, 'output');
  tf.dispose([x, y, scores, expectedScores, outputs, expectedOutputs]);
}

/** In the order of `metricsNames`: for several outputs, plain `evaluate` puts partial sums of the loss before the total. */
export function plainScores(
  model: tf.LayersModel,
  x: Samples['x'],
  y: Samples['y'],
  args: { batchSize: number },
): tf.Tensor[] {
  const scores = asList(model.evaluate(x, y, args));
  const partial = scores.splice(0, model.outputs.length - 1);
  tf.dispose(partial);
  return scores;
}

export function asList<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}
