/**
 * Memory through which a worker hands tensors to the main thread: one copy into it, which costs a fifth of a copy out of
 * TensorFlow and a clone for the message. It is used again, so the main thread copies what it gets before it asks again.
 */
import type * as tf from '@tensorflow/tfjs';
import type { Backend } from '../backends/index.js';
import type { TensorBytes } from '../protocol/worker-api.js';
import { byteLengthOf, elementsOf, layOut } from '../tfjs/bytes.js';
import { Arena } from '../transport/index.js';

export class Outbox {
  readonly #backend: Backend;
  #arena: Arena | undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** The tensors stay the caller's. */
  put(tensors: readonly tf.Tensor[]): TensorBytes[] {
    const { byteOffsets, byteLength } = layOut(tensors.map(byteLengthOf));
    if (this.#arena === undefined || this.#arena.buffer.byteLength < byteLength) {
      this.#arena = Arena.create(byteLength);
    }
    const { buffer } = this.#arena;
    return tensors.map((tensor, index) => {
      const end = byteOffsets[index + 1] ?? byteLength;
      const room = new Uint8Array(buffer, byteOffsets[index], end - byteOffsets[index]!);
      const elements = elementsOf(room, tensor.dtype).subarray(0, tensor.size);
      this.#backend.toSlot(tensor, elements);
      return new Uint8Array(buffer, elements.byteOffset, elements.byteLength);
    });
  }
}
