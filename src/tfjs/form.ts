import type * as tf from '@tensorflow/tfjs';

/** Type and shape of a tensor as text, such as `float32[2,3]`: what graphs are kept by. */
export function formOf({ dtype, shape }: tf.Tensor): string {
  return `${dtype}[${shape}]`;
}
