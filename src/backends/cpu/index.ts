/** tfjs's plain JavaScript backend: everywhere, slow, and the one that needs nothing loaded. */

import { BackendError } from '../../errors.js';
import { tf } from '../../tf.js';
import type { Backend } from '../backend.js';

export { registerResizeNearestGradient } from './resize-nearest-gradient.js';

export async function loadCpuBackend(): Promise<Backend> {
  if (!(await tf.setBackend('cpu'))) throw new BackendError('cpu', 'tfjs could not start its cpu backend.');
  await tf.ready();
  return {
    name: 'cpu',
    version: tf.version_core,
    fused: undefined,
    aliasesSlots: true,
    // tfjs keeps a typed array of the right type as it is, so this copies nothing.
    fromSlot: (data, header) => tf.tensor(data, [...header.shape], header.dtype),
    // The cpu backend hands out its own array, so this is the only copy.
    toSlot: (tensor, slot) => slot.set(tensor.dataSync()),
  };
}
