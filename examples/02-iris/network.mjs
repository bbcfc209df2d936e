/** The network that is trained: two dense layers, as in tfjs's own iris example. */
import * as tf from '@tensorflow/tfjs';
import { FEATURE_COUNT, SPECIES } from './flowers.mjs';

/** Built and compiled, with the same first weights every time. */
export function createNetwork() {
  const network = tf.sequential({
    name: 'iris',
    layers: [
      tf.layers.dense({
        name: 'hidden',
        inputShape: [FEATURE_COUNT],
        units: 10,
        activation: 'sigmoid',
        kernelInitializer: tf.initializers.glorotNormal({ seed: 1 }),
      }),
      tf.layers.dense({
        name: 'species',
        units: SPECIES.length,
        activation: 'softmax',
        kernelInitializer: tf.initializers.glorotNormal({ seed: 2 }),
      }),
    ],
  });
  network.compile({ optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return network;
}
