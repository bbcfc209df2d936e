/**
 * Runs in a process of its own, so that a crash or a missing library ends it and not the doctor: loads one backend as
 * a worker would, trains a small model on it, and prints what it found as one marked line of JSON.
 */
import { createRequire } from 'node:module';
import { loadBackend } from '../../backends/index.js';
import { hasKernels, instructionSet } from '../../backends/tensorflow/index.js';
import type { BackendName } from '../../protocol/stage-spec.js';
import { provideRemovedNodeUtilities } from '../../setup/index.js';
import { tf } from '../../tf.js';
import { BACKEND_RESULT_MARK, type LoadedBackend } from './check-backend.js';

const name = process.argv[2] as BackendName;

/** Registers what the backend's npm package brings, before Millrace adds kernels of its own. */
function loadPackage(): void {
  const require = createRequire(import.meta.url);
  if (name === 'wasm') require('@tensorflow/tfjs-backend-wasm');
  if (name !== 'tensorflow') return;
  provideRemovedNodeUtilities();
  require('@tensorflow/tfjs-node');
}

async function trainOneStep(): Promise<number> {
  const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2] })] });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  return Number(await model.trainOnBatch(tf.ones([4, 2]), tf.zeros([4, 1])));
}

function kernelNames(): string[] {
  return tf.getKernelsForBackend(name).map(({ kernelName }) => kernelName);
}

function ownOps(): LoadedBackend['ownOps'] {
  if (name !== 'tensorflow') return null;
  return hasKernels() ? instructionSet() : 'none';
}

loadPackage();
const packageKernels = kernelNames();
const backend = await loadBackend(name);
const loss = await trainOneStep();
if (!Number.isFinite(loss)) throw new Error(`a training step gave the loss ${loss}`);
const result: LoadedBackend = {
  version: backend.version,
  packageKernels,
  kernels: kernelNames(),
  simd: name === 'wasm' ? await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT').then(Boolean) : null,
  threads: name === 'wasm' ? await tf.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT').then(Boolean) : null,
  ownOps: ownOps(),
};
console.log(`${BACKEND_RESULT_MARK}${JSON.stringify(result)}`);
