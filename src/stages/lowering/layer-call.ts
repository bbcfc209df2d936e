/** What a lowering is: another way to compute one layer's `call`, for the inputs and settings that it knows. */
import type * as tf from '@tensorflow/tfjs';
import type { FusedOperations } from '../../backends/index.js';
import type { Layer } from '../../tfjs/internals.js';

export interface CallArguments {
  readonly training?: boolean;
  readonly mask?: tf.Tensor | tf.Tensor[] | null;
  readonly initialState?: tf.Tensor[] | null;
}

/** Computes the layer's output; `undefined` leaves this call to tfjs. */
export type LayerCall = (input: tf.Tensor, args: CallArguments) => tf.Tensor | undefined;

/** Looks at a built layer's settings once; `undefined` leaves the layer to tfjs. */
export type Lowering = (layer: Layer, operations: FusedOperations) => LayerCall | undefined;

/** A weight of a layer: its variable may get other data between two calls, so it is read at each. */
export interface Weight {
  read(): tf.Tensor;
  write(value: tf.Tensor): unknown;
}

/** An activation as tfjs's layers hold it. */
export interface ActivationFunction {
  apply(x: tf.Tensor): tf.Tensor;
  getClassName(): string;
}

/** The weight's value, or `undefined` for one that the layer does without. */
export function presentValue(weight: Weight | null | undefined): tf.Tensor | undefined {
  return weight?.read();
}

/**
 * How a layer's activation is computed: inside the kernel as `inline`, then, if the backend cannot do that, by `after`. What
 * is neither goes through tfjs.
 */
export function splitActivation(
  activation: ActivationFunction | null | undefined,
  operations: FusedOperations,
): { readonly inline: Parameters<FusedOperations['dense']>[3]; readonly after: (y: tf.Tensor) => tf.Tensor } {
  const name = activation?.getClassName() ?? 'linear';
  if (operations.isInline(name)) return { inline: name, after: y => y };
  const after = operations.isActivation(name)
    ? (y: tf.Tensor): tf.Tensor => operations.activation(y, name)
    : (y: tf.Tensor): tf.Tensor => activation!.apply(y);
  return { inline: 'linear', after };
}
