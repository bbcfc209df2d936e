/** Tensors that are known to read no slot of shared memory, so that nobody copies them to make sure. */
import type * as tf from '@tensorflow/tfjs';

/** On the data, which clones share. A property of its own for the reason that `PRODUCT` is one. */
const SLOT_FREE = Symbol('slot-free');

interface MarkedData {
  [SLOT_FREE]?: true;
}

export function markSlotFree({ dataId }: tf.Tensor): void {
  (dataId as MarkedData)[SLOT_FREE] = true;
}

export function isSlotFree({ dataId }: tf.Tensor): boolean {
  return (dataId as MarkedData)[SLOT_FREE] === true;
}
