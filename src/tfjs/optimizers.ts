/** Optimizers: rates and what their own `dispose` forgets. */
import { tf } from '../tf.js';

interface OptimizerParts {
  /** The scalar that SGD and momentum keep of their rate. */
  c?: tf.Scalar;
  learningRate?: number;
  iterations_?: number;
  setLearningRate?(learningRate: number): void;
}

/** Disposes an optimizer, with the scalar that momentum's own `dispose` forgets. */
export function disposeOptimizer(optimizer: tf.Optimizer): void {
  optimizer.dispose();
  (optimizer as unknown as OptimizerParts).c?.dispose();
}

export function learningRateOf(optimizer: tf.Optimizer): number {
  return (optimizer as unknown as OptimizerParts).learningRate ?? Number.NaN;
}

/** Sets the rate; SGD and momentum keep a scalar of it, which only their setter renews. */
export function setLearningRate(optimizer: tf.Optimizer, learningRate: number): void {
  const parts = optimizer as unknown as OptimizerParts;
  if (parts.learningRate === learningRate) return;
  if (parts.setLearningRate !== undefined) parts.setLearningRate(learningRate);
  else parts.learningRate = learningRate;
}

/** Sets the count of steps taken, for an optimizer whose `setWeights` does not. */
export function setIterations(optimizer: tf.Optimizer, iterations: number): void {
  (optimizer as unknown as OptimizerParts).iterations_ = iterations;
}

/** Whether an optimizer's slots can be read and written: tfjs 4.22 says of Adamax, and of the base class, that they cannot. */
export function hasReadableSlots(optimizer: tf.Optimizer): boolean {
  return optimizer.getClassName() !== 'Adamax' && optimizer.getWeights !== tf.Optimizer.prototype.getWeights;
}

const BY_ELEMENT: ReadonlySet<unknown> = new Set([
  tf.SGDOptimizer,
  tf.MomentumOptimizer,
  tf.AdagradOptimizer,
  tf.AdadeltaOptimizer,
  tf.RMSPropOptimizer,
  tf.AdamOptimizer,
  tf.AdamaxOptimizer,
]);

/**
 * Whether an optimizer treats each element of a weight by itself, so that parts of a weight may be stepped apart: as all of tfjs do.
 * One of a user's own may look at the norm of the whole, or at the weight's name.
 */
export function stepsByElement(optimizer: tf.Optimizer): boolean {
  return BY_ELEMENT.has(optimizer.constructor);
}
