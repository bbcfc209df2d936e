/** Numbers on which a computation shows what it does. */
import * as tf from '@tensorflow/tfjs';

/**
 * Whether a tensor's content says little: with all numbers the same, such as the zeros of a new weight, many a wrong computation
 * gives the right result.
 */
export function tellsLittle(tensor: tf.Tensor): boolean {
  if (tensor.dtype !== 'float32') return false;
  const values = tensor.dataSync();
  return values.every(value => value === values[0]);
}

/** Numbers between 0.5 and 1.5, since roots and logarithms want positive ones; the same for the same seed. */
export function tellingNumbers(shape: readonly number[], seed: number): tf.Tensor {
  return tf.randomUniform([...shape], 0.5, 1.5, 'float32', seed + 1);
}
