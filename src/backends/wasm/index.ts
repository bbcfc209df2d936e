/**
 * tfjs's WebAssembly backend. In Node it has SIMD but never threads, so worker threads are the only way to several
 * cores; each worker holds its own heap, hence one copy into a slot and one out of it.
 */

import { createRequire } from 'node:module';
import type * as tfjsWasm from '@tensorflow/tfjs-backend-wasm';
import { BackendError } from '../../errors.js';
import type { TensorData } from '../../protocol/tensor.js';
import { tf } from '../../tf.js';
import type { Backend } from '../backend.js';
import { isFusionOn } from '../fusion.js';
import { accumulateInPlace } from './accumulate.js';
import { fusedOperations } from './fused/index.js';
import { registerWasmTrainingKernels } from './kernels/index.js';
import { heapOptimizer } from './optimizers/index.js';

export async function loadWasmBackend(): Promise<Backend> {
  // Not by `import`: see `tf.ts`.
  const wasm = createRequire(import.meta.url)('@tensorflow/tfjs-backend-wasm') as typeof tfjsWasm;
  if (!(await tf.setBackend('wasm'))) {
    throw new BackendError('wasm', 'tfjs could not start its WebAssembly backend in this version of Node.');
  }
  await tf.ready();
  registerWasmTrainingKernels();
  const backend = tf.backend() as tfjsWasm.BackendWasm;
  return {
    name: 'wasm',
    version: wasm.version_wasm,
    fused: isFusionOn()
      ? { optimizer: heapOptimizer, operations: fusedOperations, accumulateInPlace }
      : undefined,
    aliasesSlots: false,
    fromSlot: (data, header) => tf.tensor(data, [...header.shape], header.dtype),
    // A view of the heap instead of `dataSync`, which would make a copy of its own first.
    toSlot: (tensor, slot) => slot.set(backend.typedArrayFromHeap(tensor) as TensorData),
  };
}
