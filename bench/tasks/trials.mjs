// @ts-check
/** The trials that are timed: one small network with several first weights, on the same samples. */
import * as tf from '@tensorflow/tfjs';

export const TRIAL_COUNT = 8;
export const FIT_ARGS = { epochs: 4, batchSize: 32, shuffle: false };

const FEATURES = 64;
const CLASSES = 10;
const SAMPLES = 2_048;

/**
 * @param {number} seed
 * @returns {tf.Sequential} compiled
 */
export function newModel(seed) {
  /** @param {number} layer */
  const initializer = layer => tf.initializers.glorotUniform({ seed: 10 * seed + layer });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({
        inputShape: [FEATURES],
        units: 128,
        activation: 'relu',
        kernelInitializer: initializer(1),
      }),
      tf.layers.dense({ units: 128, activation: 'relu', kernelInitializer: initializer(2) }),
      tf.layers.dense({ units: CLASSES, activation: 'softmax', kernelInitializer: initializer(3) }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
  return model;
}

/** @returns {{ x: tf.Tensor, y: tf.Tensor }} */
export function newSamples() {
  const x = tf.randomNormal([SAMPLES, FEATURES], 0, 1, 'float32', 1);
  const y = tf.tidy(() => tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [-1, CLASSES]), 1), CLASSES).toFloat());
  return { x, y };
}
