/** Between tensors and the raw bytes in which weights and optimizer slots cross threads: shared, so that none are cloned. */
import * as tf from '@tensorflow/tfjs';
import { alignUp } from '../protocol/alignment.js';
import type { TensorBytes } from '../protocol/worker-api.js';

/** Copies of elements, one array after another in memory of their own. */
export function sharedBytesOf(arrays: readonly tf.TypedArray[]): TensorBytes[] {
  const { byteOffsets, byteLength } = layOut(arrays.map(array => array.byteLength));
  const memory = new SharedArrayBuffer(byteLength);
  return arrays.map((array, index) => {
    const bytes = new Uint8Array(memory, byteOffsets[index], array.byteLength);
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return bytes;
  });
}

/** Where pieces of memory lie one after another, each at an aligned offset. */
export function layOut(byteLengths: readonly number[]): {
  readonly byteOffsets: readonly number[];
  readonly byteLength: number;
} {
  let end = 0;
  const byteOffsets = byteLengths.map(length => {
    const byteOffset = end;
    end = alignUp(byteOffset + length);
    return byteOffset;
  });
  return { byteOffsets, byteLength: end };
}

/** A tensor that reads `bytes` where they lie, as far as its backend does that. */
export function tensorOver(bytes: TensorBytes, shape: readonly number[], dtype: tf.DataType): tf.Tensor {
  return tf.tensor(elementsOf(bytes, dtype), [...shape], dtype as 'float32');
}

/** A tensor with a copy of `bytes`, which may change afterwards. */
export function tensorFrom(bytes: TensorBytes, shape: readonly number[], dtype: tf.DataType): tf.Tensor {
  return tf.tensor(elementsOf(bytes, dtype).slice(), [...shape], dtype as 'float32');
}

/** A tensor of floats with copies of `parts`, one after another; they must be all of it. */
export function tensorFromParts(parts: readonly TensorBytes[], shape: readonly number[]): tf.Tensor {
  const values = new Float32Array(tf.util.sizeFromShape([...shape]));
  let length = 0;
  for (const part of parts) {
    const elements = elementsOf(part, 'float32');
    values.set(elements, length);
    length += elements.length;
  }
  tf.util.assert(length === values.length, () => `${length} elements are no tensor of shape [${shape}].`);
  return tf.tensor(values, [...shape], 'float32');
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
