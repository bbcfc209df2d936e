/**
 * Makes the model beside this file: a small convolutional network for 14×14 images, saved without an optimizer, as models for
 * inference are. For trying `millrace plan` on.
 *
 *   node examples/saved-model/make.mjs
 */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { fileSystem } from 'millrace';

const SEED = 42;
const here = fileURLToPath(new URL('.', import.meta.url));

tf.enableProdMode();
await tf.setBackend('cpu');
const kernelInitializer = () => tf.initializers.glorotUniform({ seed: SEED });
const { layers } = tf;
const model = tf.sequential({
  name: 'small-digits',
  layers: [
    layers.conv2d({
      inputShape: [14, 14, 1],
      filters: 8,
      kernelSize: 3,
      activation: 'relu',
      name: 'conv1',
      kernelInitializer: kernelInitializer(),
    }),
    layers.conv2d({
      filters: 12,
      kernelSize: 3,
      activation: 'relu',
      name: 'conv2',
      kernelInitializer: kernelInitializer(),
    }),
    layers.maxPooling2d({ poolSize: 2, name: 'pool' }),
    layers.flatten({ name: 'flatten' }),
    layers.dense({ units: 10, activation: 'softmax', name: 'digit', kernelInitializer: kernelInitializer() }),
  ],
});
await model.save(fileSystem(here));
