/**
 * Lowering: once a stage has built its layers, those that the backend computes in fewer passes get another `call`. What a
 * lowering does not know, a setting, a rank, a mask, goes to tfjs's own `call`, as do all other layers.
 */

import type { FusedOperations } from '../../backends/index.js';
import { tf } from '../../tf.js';
import { innerLayers, type Layer } from '../../tfjs/internals.js';
import type { CallArguments } from './layer-call.js';
import { loweringOf } from './table.js';

export { type BatchNormCall, batchNormCall } from './batch-norm.js';
export type { FollowingActivation } from './layer-call.js';
export { LOWERED_CLASSES, mayBeLowered } from './table.js';

/** Lowers a built layer, or the layers inside it. */
export function lowerLayer(layer: Layer, operations: Partial<FusedOperations>): void {
  const lowering = Object.hasOwn(layer, 'call') ? undefined : loweringOf(layer);
  if (lowering === undefined) {
    for (const inner of innerLayers(layer)) lowerLayer(inner, operations);
    return;
  }
  if (operations[lowering.operation] === undefined) return;
  const fusedCall = lowering.lower(layer, operations as FusedOperations);
  if (fusedCall === undefined) return;
  const plainCall = layer.call.bind(layer);
  layer.call = (inputs, kwargs) =>
    tf.tidy(() => {
      const input = Array.isArray(inputs) ? inputs[0]! : inputs;
      const isKnown = input.dtype === 'float32' || lowering.operation === 'embedding';
      const output = isKnown ? fusedCall(input, (kwargs ?? {}) as CallArguments) : undefined;
      return output ?? plainCall(inputs, kwargs);
    });
}
