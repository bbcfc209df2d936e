import type * as tf from '@tensorflow/tfjs';

/** One tensor of the graph with the mask that travels beside it. */
export interface Value {
  readonly tensor: tf.Tensor;
  readonly mask: tf.Tensor | undefined;
}
