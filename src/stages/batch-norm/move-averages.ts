import { tf } from '../../tf.js';
import { type BatchNormParts, variableOf } from '../../tfjs/internals.js';

/** Moves a layer's running statistics towards those of a batch, as tfjs does. `variance` is the biased one. */
export function moveAverages(
  { movingMean, movingVariance, momentum }: BatchNormParts,
  mean: tf.Tensor,
  variance: tf.Tensor,
): void {
  for (const [average, value] of [
    [movingMean, mean],
    [movingVariance, variance],
  ] as const) {
    const variable = variableOf(average);
    tf.tidy(() => variable.assign(tf.sub(variable, tf.mul(tf.sub(variable, value), 1 - momentum))));
  }
}
