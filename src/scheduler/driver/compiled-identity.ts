/** Whether a model is still compiled as it was when its stages were built. */
import type * as tf from '@tensorflow/tfjs';
import { compiled, variableOf } from '../../tfjs/internals.js';

export type CompiledIdentity = readonly unknown[];

/** What changes when the user compiles again, or freezes a weight. */
export function identityOf(model: tf.LayersModel): CompiledIdentity {
  const { optimizer_, loss, metrics, collectedTrainableWeights } = compiled(model);
  const flags = (collectedTrainableWeights ?? []).map(weight => variableOf(weight).trainable);
  return [optimizer_, loss, metrics, collectedTrainableWeights, ...flags];
}

export function isSameIdentity(a: CompiledIdentity, b: CompiledIdentity): boolean {
  return a.every((part, index) => part === b[index]);
}

/** What changes when layers are added to a `tf.Sequential` or taken away. */
export function endsOf(model: tf.LayersModel): tf.SymbolicTensor[] {
  return [...(model.inputs ?? []), ...(model.outputs ?? [])];
}
