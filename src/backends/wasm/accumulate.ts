/** Adding to a tensor where it lies, against a new buffer for every sum. */
import { tf } from '../../tf.js';
import { addressOf, routines, wasmBackend } from './kernels/heap.js';

/**
 * Adds `addend` to `sum`, whose memory nothing else may read, and which never was an operand of a matrix product (see
 * `kernels/heap.ts`). Both stay the caller's.
 */
export function accumulateInPlace(sum: tf.Tensor, addend: tf.Tensor): void {
  const backend = wasmBackend(tf.backend());
  routines(backend).addRows(addressOf(backend, addend), addressOf(backend, sum), 1, sum.size);
}
