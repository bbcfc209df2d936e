/** What a lowering is: another way to compute one layer's `call`, for the inputs and settings that it knows. */
import type * as tf from '@tensorflow/tfjs';
import type { FusedActivation, FusedOperations } from '../../backends/index.js';
import type { Layer } from '../../tfjs/internals.js';

/** The activation of a layer that alone reads what this one makes: whoever applies it already says so. */
export interface FollowingActivation {
  readonly name: string;
  isApplied: boolean;
}

export interface CallArguments {
  readonly training?: boolean;
  readonly mask?: tf.Tensor | tf.Tensor[] | null;
  readonly initialState?: tf.Tensor[] | null;
  readonly following?: FollowingActivation;
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
 * How a layer's activation is computed: inside the kernel, or if the backend cannot do that, by `after`; what the backend does
 * not know goes through tfjs. A layer without one may take that of the layer behind it into its kernel.
 */
export interface SplitActivation {
  inlineWith(following: FollowingActivation | undefined): FusedActivation;
  readonly after: (y: tf.Tensor) => tf.Tensor;
}

export function splitActivation(
  activation: ActivationFunction | null | undefined,
  operations: FusedOperations,
): SplitActivation {
  const name = activation?.getClassName() ?? 'linear';
  if (name === 'linear') {
    return { inlineWith: following => takeOver(following, operations), after: y => y };
  }
  if (operations.isInline(name)) return { inlineWith: () => name, after: y => y };
  const after = operations.isActivation(name)
    ? (y: tf.Tensor): tf.Tensor => operations.activation(y, name)
    : (y: tf.Tensor): tf.Tensor => activation!.apply(y);
  return { inlineWith: () => 'linear', after };
}

/** The activation that the kernel is to apply for the layer behind it: `linear` for none. */
export function takeOver(
  following: FollowingActivation | undefined,
  { isInline }: FusedOperations,
): FusedActivation {
  if (following === undefined || !isInline(following.name)) return 'linear';
  following.isApplied = true;
  return following.name;
}
