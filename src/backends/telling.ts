/** Numbers on which a computation shows what it does. */
import { tf } from '../tf.js';

/**
 * Whether a tensor's content says little: with all numbers the same, such as the zeros of a new weight, many a wrong computation
 * gives the right result.
 */
export function tellsLittle(tensor: tf.Tensor): boolean {
  if (tensor.dtype !== 'float32') return false;
  const values = tensor.dataSync();
  return values.every(value => Object.is(value, values[0]));
}

/** For what is not zero, numbers so near to it that roots and logarithms that bear it bear them too. */
const DEVIATION = 0.05;

/** Numbers in place of such a tensor's own: about it, or between 0.5 and 1.5 where it is zero. The same for the same seed. */
export function tellingNumbers(tensor: tf.Tensor, seed: number): tf.Tensor {
  const [value = 0] = tensor.dataSync();
  return tf.tidy(() =>
    Number.isFinite(value) && value !== 0
      ? tf.mul(randomAbout1(tensor.shape, DEVIATION, seed), value)
      : randomAbout1(tensor.shape, 0.5, seed),
  );
}

export function randomAbout1(shape: readonly number[], deviation: number, seed: number): tf.Tensor {
  return tf.randomUniform([...shape], 1 - deviation, 1 + deviation, 'float32', seed + 1);
}
