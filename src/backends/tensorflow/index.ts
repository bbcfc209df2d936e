/** The TensorFlow backend of tfjs-node inside a worker: tensors alias shared memory, and one op writes into it. */
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import { BackendError } from '../../errors.js';
import type { TensorData } from '../../protocol/tensor.js';
import { assertOneTensorflowBuild, provideRemovedNodeUtilities } from '../../setup/index.js';
import type { Backend } from '../backend.js';
import { isFusionOn } from '../fusion.js';
import { fusedOperations } from './fused/index.js';
import { accumulateInPlace, copy } from './memory.js';
import { type GuardedBinding, guardBinding } from './onednn-guard.js';
import { resourceOptimizer } from './optimizers/index.js';
import { type NodeBackend, rawOps } from './raw-ops.js';

export { type PreparedAddon, prepareAddon } from './addon.js';
export { registerDenseBincount } from './dense-bincount.js';

export async function loadTensorflowBackend(): Promise<Backend> {
  provideRemovedNodeUtilities();
  try {
    createRequire(import.meta.url)('@tensorflow/tfjs-node');
    assertOneTensorflowBuild();
  } catch (error) {
    throw new BackendError(
      'tensorflow',
      `@tensorflow/tfjs-node does not load: ${(error as Error).message}. Run \`npx millrace doctor\` to see why.`,
      { cause: error },
    );
  }
  if (!(await tf.setBackend('tensorflow'))) {
    throw new BackendError(
      'tensorflow',
      'tfjs-node loaded, but its backend did not register with this copy of tfjs.',
    );
  }
  const backend = tf.backend() as unknown as { binding: NodeBackend['binding'] & GuardedBinding };
  backend.binding = guardBinding(backend.binding);
  const { binding } = backend;
  const raw = rawOps();
  const firstRow = tf.keep(tf.tensor1d([0], 'int32'));
  const intAttributes = [raw.type('T', 'int32')];

  /** One memcpy by TensorFlow (0.08 ms a MiB), against a copy out of TensorFlow and a second one into the slot (0.23). */
  function updateInPlace(tensor: tf.Tensor, slot: TensorData): void {
    tf.tidy(() => {
      const target = tf.tensor2d(slot, [1, tensor.size], tensor.dtype as 'float32');
      const row = tf.reshape(tensor, [1, tensor.size]);
      const attributes = tensor.dtype === 'float32' ? raw.float : intAttributes;
      raw.one('InplaceUpdate', attributes, target, firstRow, row);
    });
  }

  return {
    name: 'tensorflow',
    version: binding.TF_Version,
    aliasesSlots: true,
    fused: isFusionOn()
      ? { optimizer: resourceOptimizer, operations: fusedOperations, accumulateInPlace, copy }
      : undefined,
    fromSlot: (data, header) => tf.tensor(data, [...header.shape], header.dtype),
    toSlot(tensor, slot) {
      if (tensor.size === 0) return;
      // InplaceUpdate knows numbers alone; masks are booleans and small.
      if (tensor.dtype === 'bool') slot.set(tensor.dataSync());
      else updateInPlace(tensor, slot);
    },
  };
}
