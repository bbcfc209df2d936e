/** The network that is trained: four convolutions and two dense layers, an ordinary tfjs model. */
import * as tf from '@tensorflow/tfjs';
import { CLASS_COUNT, SIDE_PIXELS } from './digits.mjs';

/** Built and compiled, with the same first weights every time. */
export function createNetwork() {
  const network = tf.sequential({
    name: 'digits',
    layers: [
      convolution('conv1', 16, { inputShape: [SIDE_PIXELS, SIDE_PIXELS, 1] }),
      convolution('conv2', 16),
      tf.layers.maxPooling2d({ name: 'pool1', poolSize: 2 }),
      convolution('conv3', 32),
      convolution('conv4', 48),
      tf.layers.maxPooling2d({ name: 'pool2', poolSize: 2 }),
      tf.layers.flatten({ name: 'flatten' }),
      // 8,000 digits are few: without dropout the network learns them by heart and stays below 97 % on others.
      tf.layers.dropout({ name: 'dropout1', rate: 0.5 }),
      tf.layers.dense({ name: 'dense1', units: 128, activation: 'relu', kernelInitializer: heNormal() }),
      tf.layers.dropout({ name: 'dropout2', rate: 0.5 }),
      tf.layers.dense({
        name: 'dense2',
        units: CLASS_COUNT,
        activation: 'softmax',
        kernelInitializer: heNormal(),
      }),
    ],
  });
  network.compile({
    optimizer: tf.train.adam(0.0015),
    loss: 'categoricalCrossentropy',
    metrics: ['accuracy'],
  });
  return network;
}

function convolution(name, filters, more) {
  return tf.layers.conv2d({
    name,
    filters,
    kernelSize: 3,
    activation: 'relu',
    kernelInitializer: heNormal(),
    ...more,
  });
}

/** The seed makes the first weights the same in every run; layers differ in shape, so they can share it. */
function heNormal() {
  return tf.initializers.heNormal({ seed: 1 });
}
