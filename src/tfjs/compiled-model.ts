/** The private side of a compiled model: what `compile` resolved, tfjs's checks of user data, marks of a running fit. */
import { tf } from '../tf.js';
import type { LayerVariable } from './layers.js';
import { required } from './required.js';

export type LossOrMetric = (yTrue: tf.Tensor, yPred: tf.Tensor) => tf.Tensor;

interface CompiledModel {
  optimizer_?: tf.Optimizer;
  loss?: unknown;
  metrics?: unknown;
  lossFunctions?: LossOrMetric[];
  metricsTensors?: [LossOrMetric, number][];
  metricsNames?: string[];
  collectedTrainableWeights?: LayerVariable[];
  stopTraining_?: boolean;
  isTraining?: boolean;
  history?: tf.History;
  outputNames: string[];
  getDedupedMetricsNames(): string[];
  standardizeUserDataXY(
    x: unknown,
    y: unknown,
    checkBatchAxis: boolean,
    batchSize: number | undefined,
  ): [tf.Tensor[], tf.Tensor[]];
}

/**
 * The private side of a compiled model: what `compile` resolved, and tfjs's own checks of user data. A `tf.Sequential`
 * keeps all of it in an inner functional model.
 */
export function compiled(model: tf.LayersModel): CompiledModel {
  const inner = (model as { model?: tf.LayersModel }).model ?? model;
  const parts = inner as unknown as CompiledModel;
  required(parts.standardizeUserDataXY, 'LayersModel.standardizeUserDataXY');
  required(parts.getDedupedMetricsNames, 'LayersModel.getDedupedMetricsNames');
  return parts;
}

export function isCompiled(model: tf.LayersModel): boolean {
  const { optimizer_, lossFunctions } = compiled(model);
  return optimizer_ !== undefined && optimizer_ !== null && lossFunctions !== undefined;
}

/** What `fit` marks on a model while it runs; on a `tf.Sequential` the outer and the inner model both count. */
function faces(model: tf.LayersModel): CompiledModel[] {
  return [...new Set([compiled(model), model as unknown as CompiledModel])];
}

export function isTrainingStopped(model: tf.LayersModel): boolean {
  return faces(model).some(face => face.stopTraining_ === true);
}

export function allowTraining(model: tf.LayersModel): void {
  for (const face of faces(model)) face.stopTraining_ = false;
}

export function setTraining(model: tf.LayersModel, isTraining: boolean): void {
  for (const face of faces(model)) face.isTraining = isTraining;
}

export function isTraining(model: tf.LayersModel): boolean {
  return faces(model).some(face => face.isTraining === true);
}

export function setHistory(model: tf.LayersModel, history: tf.History): void {
  for (const face of faces(model)) face.history = history;
}

/** The class that all callbacks extend; tfjs exports only its descendants. */
export function baseCallbackClass(): abstract new () => unknown {
  return required(Object.getPrototypeOf(tf.Callback), 'BaseCallback');
}
