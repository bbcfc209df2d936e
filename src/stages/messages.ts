/** Between a message in a slot and the engine's tensors. */
import type * as tf from '@tensorflow/tfjs';
import type { Backend } from '../backends/index.js';
import { MessageWriter, readMessage, type SlotView } from '../transport/index.js';
import { elementTypeOf } from './tensors.js';

/** Tensors over the slot's memory, in message order; `undefined` where an entry is absent. The caller's to dispose. */
export function readTensors(backend: Backend, slot: SlotView): (tf.Tensor | undefined)[] {
  return readMessage(slot).map(entry =>
    entry === undefined ? undefined : backend.fromSlot(entry.data, entry.header),
  );
}

/** Writes tensors into a claimed slot; they stay the caller's. */
export function writeTensors(
  backend: Backend,
  slot: SlotView,
  tensors: readonly (tf.Tensor | undefined)[],
): void {
  const writer = new MessageWriter(slot);
  writer.begin(tensors.length);
  for (const tensor of tensors) {
    if (tensor === undefined) writer.absent();
    else backend.toSlot(tensor, writer.entry({ dtype: elementTypeOf(tensor), shape: tensor.shape }));
  }
}
