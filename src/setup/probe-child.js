/**
 * Runs in a process of its own (see probe.js): loads the tfjs-node package whose directory is given, multiplies two
 * matrices, trains a small model for two steps, and prints what it found as one marked line of JSON.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { assertOneTensorflowBuild, loadedTensorflowLibraries } from './loaded-libraries.js';
import { provideRemovedNodeUtilities } from './node-compat.js';
import { PROBE_MARK, PROBE_PACKAGE_VARIABLE } from './probe.js';

provideRemovedNodeUtilities();
const tf = createRequire(import.meta.url)(process.env[PROBE_PACKAGE_VARIABLE] ?? '');
await tf.ready();
assert.equal(tf.getBackend(), 'tensorflow', 'the backend that tfjs-node registered');

const product = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2]));
assert.deepEqual([...product.dataSync()], [19, 22, 43, 50], 'a product of two matrices');

// Goes through the functions of `node:util` that newer versions of Node lack.
assert.deepEqual(
  [...tf.topk(tf.tensor1d([1, 3, 2]), 2).values.dataSync()],
  [3, 2],
  'the two largest of three',
);

// A convolution and a dense layer: both directions of the two kernels that nearly every model needs.
const model = tf.sequential({
  layers: [
    tf.layers.conv2d({ filters: 2, kernelSize: 2, inputShape: [4, 4, 1], kernelInitializer: 'ones' }),
    tf.layers.flatten(),
    tf.layers.dense({ units: 1, kernelInitializer: 'zeros' }),
  ],
});
model.compile({ optimizer: tf.train.sgd(0.001), loss: 'meanSquaredError' });
const x = tf.ones([2, 4, 4, 1]);
const y = tf.ones([2, 1]);
const firstLoss = await model.trainOnBatch(x, y);
const secondLoss = await model.trainOnBatch(x, y);
assert.ok(secondLoss < firstLoss, `a training step lowers the loss (${firstLoss} to ${secondLoss})`);

assertOneTensorflowBuild();
const found = {
  tensorflowVersion: tf.backend().binding?.TF_Version ?? 'unknown',
  libraries: loadedTensorflowLibraries(),
};
console.log(`${PROBE_MARK}${JSON.stringify(found)}`);
