/** The TensorFlow backend of tfjs-node inside a worker: tensors alias shared memory, and one op writes into it. */
import { createRequire } from 'node:module';
import { BackendError } from '../../errors.js';
import { assertOneTensorflowBuild, provideRemovedNodeUtilities } from '../../setup/index.js';
import { tf } from '../../tf.js';
import type { Backend } from '../backend.js';
import { isFusionOn } from '../fusion.js';
import { fusedOperations, registerSoftmaxGradient } from './fused/index.js';
import { type RecordableBinding, recordable, recordParts } from './graph/index.js';
import { hasKernels, loadKernels } from './kernels.js';
import { accumulateInPlace, copy, slotUpdate } from './memory.js';
import { type GuardedBinding, guardBinding } from './onednn-guard.js';
import { opOptimizer } from './optimizers/index.js';
import { type NodeBackend, rawOps } from './raw-ops.js';

export { type PreparedAddon, prepareAddon } from './addon.js';
export { registerDenseBincount } from './dense-bincount.js';
export type { InstructionSet } from './instruction-sets.js';
export { hasKernels, instructionSet, loadKernels } from './kernels.js';

/** Up to so many elements, reading them out and copying them into a slot, 1 to 2 µs, costs less than an op's call, 7 to 10. */
const MOST_ELEMENTS_READ = 1024;

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
  const backend = tf.backend() as unknown as {
    binding: NodeBackend['binding'] & GuardedBinding & RecordableBinding;
  };
  // The guard on top: what it runs in an op's place is what is recorded.
  backend.binding = guardBinding(recordable(backend.binding));
  const { binding } = backend;
  const raw = rawOps();
  const update = slotUpdate(raw);
  loadKernels();
  if (hasKernels()) registerSoftmaxGradient();

  return {
    name: 'tensorflow',
    version: binding.TF_Version,
    aliasesSlots: true,
    fused: isFusionOn()
      ? { optimizer: opOptimizer, operations: fusedOperations, accumulateInPlace, copy, recordParts }
      : undefined,
    fromSlot: (data, header) => tf.tensor(data, [...header.shape], header.dtype),
    toSlot(tensor, slot) {
      if (tensor.size === 0) return;
      // InplaceUpdate knows numbers alone; masks are booleans and small.
      if (tensor.dtype === 'bool' || tensor.size <= MOST_ELEMENTS_READ) slot.set(tensor.dataSync());
      else update(tensor, slot);
    },
  };
}
