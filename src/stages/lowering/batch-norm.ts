/** Batch norm in training; outside it, tfjs's own kernel is one op already. */

import type { Exchange, FusedOperations } from '../../backends/index.js';
import { tf } from '../../tf.js';
import type { Layer } from '../../tfjs/internals.js';
import { type FollowingActivation, type Lowering, takeOver, type Weight } from './layer-call.js';

interface BatchNormLayer {
  readonly axis: number;
  readonly momentum: number;
  readonly epsilon: number;
  readonly gamma?: Weight;
  readonly beta?: Weight;
  readonly movingMean: Weight;
  readonly movingVariance: Weight;
}

/**
 * One training call of a batch norm; `undefined` for what the kernel does not know.
 *
 * @param exchange where the input is a part of the batch whose statistics count
 */
export type BatchNormCall = (
  input: tf.Tensor,
  following: FollowingActivation | undefined,
  exchange?: Exchange,
) => tf.Tensor | undefined;

/** @returns `undefined` for a layer that the kernel does not know */
export function batchNormCall(layer: Layer, operations: FusedOperations): BatchNormCall | undefined {
  const { axis, momentum, epsilon, gamma, beta, movingMean, movingVariance } =
    layer as unknown as BatchNormLayer;
  if (gamma === undefined || beta === undefined) return undefined;
  const move = (average: Weight, value: tf.Tensor): void => {
    tf.tidy(() => {
      average.write(operations.movingAverage(average.read(), value, momentum));
    });
  };
  return (input, following, exchange) => {
    const isLastAxis = axis === -1 || axis === input.rank - 1;
    if (!isLastAxis || input.rank < 2 || input.dtype !== 'float32') return undefined;
    const settings = { epsilon, activation: takeOver(following, operations), exchange };
    return operations.batchNorm(input, gamma.read(), beta.read(), settings, (mean, variance) => {
      move(movingMean, mean);
      move(movingVariance, variance);
    });
  };
}

export const batchNorm: Lowering = (layer, operations) => {
  const run = batchNormCall(layer, operations);
  return run && ((input, { training, following }) => (training === true ? run(input, following) : undefined));
};
