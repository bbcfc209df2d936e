/** Reproducible samples and weights. */
import * as tf from '@tensorflow/tfjs';

/** Reproducible numbers in [low, high). */
export function uniform(shape: readonly number[], seed: number, low = -1, high = 1): tf.Tensor {
  return tf.randomUniform([...shape], low, high, 'float32', seed);
}

/** Whole numbers in [low, high), as float32. */
export function integers(shape: readonly number[], seed: number, low: number, high: number): tf.Tensor {
  return tf.tidy(() => tf.floor(uniform(shape, seed, low, high)));
}

/** One-hot rows of random classes. */
export function oneHot(count: number, classes: number, seed: number): tf.Tensor {
  return tf.tidy(() =>
    tf.cast(tf.oneHot(tf.cast(integers([count], seed, 0, classes), 'int32'), classes), 'float32'),
  );
}

/** Token sequences of different lengths, padded with zeros at the end; tokens are 1 … vocabulary−1. */
export function paddedTokens(count: number, length: number, vocabulary: number, seed: number): tf.Tensor {
  return tf.tidy(() => {
    const tokens = integers([count, length], seed, 1, vocabulary);
    const lengths = integers([count, 1], seed + 1, 1, length + 1);
    const positions = tf.range(0, length, 1, 'float32');
    return tf.mul(tokens, tf.cast(tf.less(positions, lengths), 'float32'));
  });
}

/** Overwrites every weight reproducibly, biases and moving statistics included, so that no error hides behind a zero. */
export function seedWeights(model: tf.LayersModel, seed: number): void {
  tf.tidy(() => {
    const weights = model.weights.map(({ name, shape }, index) => {
      if (name.includes('variance')) return uniform(shape as number[], seed + index, 0.5, 1.5);
      const fanIn = (shape as number[]).slice(0, -1).reduce((product, size) => product * size, 1);
      const limit = Math.sqrt(2 / Math.max(2, fanIn));
      return uniform(shape as number[], seed + index, -limit, limit);
    });
    model.setWeights(weights);
  });
}
