/**
 * Runs in a process of its own (see probe.js): loads the tfjs-node package and Millrace's kernels that are given, runs one of them,
 * and prints what it found as one marked line of JSON.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { loadedTensorflowLibraries } from './loaded-libraries.js';
import { provideRemovedNodeUtilities } from './node-compat.js';
import { PROBE_KERNELS_VARIABLE, PROBE_MARK, PROBE_PACKAGE_VARIABLE } from './probe.js';

provideRemovedNodeUtilities();
const tf = createRequire(import.meta.url)(process.env[PROBE_PACKAGE_VARIABLE] ?? '');
await tf.ready();
process.dlopen({ exports: {} }, process.env[PROBE_KERNELS_VARIABLE] ?? '');

const [y, dy] = [tf.tensor2d([[0.25, 0.75]]), tf.tensor2d([[1, 3]])];
const [gradient] = tf.backend().executeMultipleOutputs('MillraceSoftmaxGradient', [], [y, dy], 1);
assert.deepEqual([...gradient.dataSync()], [-0.375, 0.375], 'the gradient of a softmax');

const found = {
  tensorflowVersion: tf.backend().binding?.TF_Version ?? 'unknown',
  libraries: loadedTensorflowLibraries(),
};
console.log(`${PROBE_MARK}${JSON.stringify(found)}`);
