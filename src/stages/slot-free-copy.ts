/** Makes sure that a tensor that outlives its micro-batch reads no slot of shared memory. */

import { type Backend, isSlotFree } from '../backends/index.js';
import { tf } from '../tf.js';

/**
 * A tensor can only read a slot by reshaping or slicing what was received (a bias gradient over a micro-batch of one
 * sample, say), so one that is larger than every received tensor is safe as it is, and so is one that
 * a graph is known to have written. Takes `tensor` over.
 *
 * @param largestReceived elements of the largest received tensor that `tensor` may alias
 */
export function slotFreeCopy(backend: Backend, tensor: tf.Tensor, largestReceived: number): tf.Tensor {
  if (!backend.aliasesSlots || tensor.size > largestReceived || isSlotFree(tensor)) return tensor;
  const copy = backend.fused?.copy?.(tensor) ?? tf.tidy(() => tf.mul(tensor, tf.scalar(1)));
  tensor.dispose();
  return copy;
}
