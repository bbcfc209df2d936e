/** Between tensors and the raw bytes in which weights and optimizer slots cross threads: shared, so that none are cloned. */
import * as tf from '@tensorflow/tfjs';
import { alignUp } from '../protocol/alignment.js';
import type { TensorBytes } from '../protocol/worker-api.js';

/** Copies of the tensors' elements, one after another in memory of their own. */
export function sharedBytesOf(tensors: readonly tf.Tensor[]): TensorBytes[] {
  const { byteOffsets, byteLength } = layOut(tensors);
  const memory = new SharedArrayBuffer(byteLength);
  return tensors.map((tensor, index) => {
    const data = tensor.dataSync();
    const bytes = new Uint8Array(memory, byteOffsets[index], data.byteLength);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return bytes;
  });
}

/** Where tensors lie one after another, each at an aligned offset. */
export function layOut(tensors: readonly Pick<tf.Tensor, 'size' | 'dtype'>[]): {
  readonly byteOffsets: readonly number[];
  readonly byteLength: number;
} {
  let byteLength = 0;
  const byteOffsets = tensors.map(({ size, dtype }) => {
    const byteOffset = byteLength;
    byteLength = alignUp(byteOffset + size * tf.util.bytesPerElement(dtype));
    return byteOffset;
  });
  return { byteOffsets, byteLength };
}

/** A tensor that reads `bytes` where they lie, as far as its backend does that. */
export function tensorOver(bytes: TensorBytes, shape: readonly number[], dtype: tf.DataType): tf.Tensor {
  return tf.tensor(elementsOf(bytes, dtype), [...shape], dtype as 'float32');
}

/** A tensor with a copy of `bytes`, which may change afterwards. */
export function tensorFrom(bytes: TensorBytes, shape: readonly number[], dtype: tf.DataType): tf.Tensor {
  return tf.tensor(elementsOf(bytes, dtype).slice(), [...shape], dtype as 'float32');
}

/** A view of `bytes` as tfjs keeps elements of `dtype`. */
export function elementsOf(
  { buffer, byteOffset, byteLength }: TensorBytes,
  dtype: tf.DataType,
): Float32Array<SharedArrayBuffer> | Int32Array<SharedArrayBuffer> | Uint8Array<SharedArrayBuffer> {
  const elements = byteLength / tf.util.bytesPerElement(dtype);
  if (dtype === 'float32') return new Float32Array(buffer, byteOffset, elements);
  if (dtype === 'int32') return new Int32Array(buffer, byteOffset, elements);
  return new Uint8Array(buffer, byteOffset, elements);
}
