/**
 * A small residual network: what a block computes is added to what came in.
 *
 * Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", section 4.2 (arXiv 1512.03385): the
 * network for small images, with one block of each width instead of three or more, and a first convolution that halves the
 * image, as in section 4.1.
 */
import * as tf from '@tensorflow/tfjs';
import { CLASS_COUNT, SIDE_PIXELS } from '../01-mnist/digits.mjs';

const WIDTHS = [16, 32, 64];
const WEIGHT_DECAY = 1e-4;

/** Built and compiled, with the same first weights every time. */
export function createNetwork(learningRate) {
  const image = tf.input({ name: 'image', shape: [SIDE_PIXELS, SIDE_PIXELS, 1] });
  let x = relu('stem', normalized('stem', convolution('stem', WIDTHS[0], 3, 2).apply(image)));
  for (const [index, width] of WIDTHS.entries())
    x = block(`block${index + 1}`, x, width, index === 0 ? 1 : 2);
  x = tf.layers.globalAveragePooling2d({ name: 'average' }).apply(x);
  const digit = tf.layers.dense({
    name: 'digit',
    units: CLASS_COUNT,
    activation: 'softmax',
    kernelInitializer: heNormal(),
  });
  const network = tf.model({ name: 'resnet8', inputs: image, outputs: digit.apply(x) });
  network.compile({
    optimizer: tf.train.momentum(learningRate, 0.9),
    loss: 'categoricalCrossentropy',
    metrics: ['accuracy'],
  });
  return network;
}

/** Two convolutions, and a way around them; where the shape changes, a convolution of one pixel is on it. */
function block(name, input, width, strides) {
  let x = convolution(`${name}_conv1`, width, 3, strides).apply(input);
  x = relu(`${name}_1`, normalized(`${name}_1`, x));
  x = normalized(`${name}_2`, convolution(`${name}_conv2`, width, 3, 1).apply(x));
  const around =
    strides === 1
      ? input
      : normalized(`${name}_around`, convolution(`${name}_around`, width, 1, strides).apply(input));
  return relu(`${name}_2`, tf.layers.add({ name: `${name}_add` }).apply([x, around]));
}

function convolution(name, filters, kernelSize, strides) {
  return tf.layers.conv2d({
    name,
    filters,
    kernelSize,
    strides,
    padding: 'same',
    useBias: false,
    kernelInitializer: heNormal(),
    kernelRegularizer: tf.regularizers.l2({ l2: WEIGHT_DECAY }),
  });
}

function normalized(name, x) {
  // With the few steps of a short training, the default of 0.99 would keep the first statistics for too long.
  return tf.layers.batchNormalization({ name: `${name}_norm`, momentum: 0.9 }).apply(x);
}

function relu(name, x) {
  return tf.layers.activation({ name: `${name}_relu`, activation: 'relu' }).apply(x);
}

/** The seed makes the first weights the same in every run. */
function heNormal() {
  return tf.initializers.heNormal({ seed: 1 });
}
