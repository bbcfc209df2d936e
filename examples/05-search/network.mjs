/** The networks that are compared: one hidden layer, of any width, trained at any rate. */
import * as tf from '@tensorflow/tfjs';
import { FEATURE_COUNT, SPECIES } from '../02-iris/flowers.mjs';

/** Built and compiled, with the same first weights every time. */
export function createNetwork({ units, learningRate }) {
  const network = tf.sequential({
    layers: [
      tf.layers.dense({
        inputShape: [FEATURE_COUNT],
        units,
        activation: 'tanh',
        kernelInitializer: tf.initializers.glorotNormal({ seed: 1 }),
      }),
      tf.layers.dense({
        units: SPECIES.length,
        activation: 'softmax',
        kernelInitializer: tf.initializers.glorotNormal({ seed: 2 }),
      }),
    ],
  });
  network.compile({
    optimizer: tf.train.adam(learningRate),
    loss: 'categoricalCrossentropy',
    metrics: ['accuracy'],
  });
  return network;
}
