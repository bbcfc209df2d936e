// @ts-check
import * as tf from '@tensorflow/tfjs';

/**
 * Samples and targets for so many mini-batches, the same at every call. The caller's.
 *
 * @param {import('./build.mjs').ModelSpec} spec
 * @param {number} batches
 */
export function makeSamples(spec, batches) {
  const count = batches * spec.batch;
  const shape = [count, ...spec.input];
  return tf.tidy(() => ({
    x:
      spec.vocabulary === undefined
        ? tf.randomNormal(shape, 0, 1, 'float32', 1)
        : tf.cast(tf.randomUniform(shape, 0, spec.vocabulary, 'int32', 1), 'float32'),
    y:
      spec.classes === undefined
        ? tf.randomNormal([count, 1], 0, 1, 'float32', 2)
        : tf.cast(tf.oneHot(tf.randomUniform([count], 0, spec.classes, 'int32', 2), spec.classes), 'float32'),
  }));
}
