/** Between tensors and the raw bytes in which weights and optimizer slots cross threads: shared, so that none are cloned. */

import { StateError } from '../errors.js';
import { alignUp } from '../protocol/alignment.js';
import type { RowRange } from '../protocol/stage-spec.js';
import type { TensorBytes } from '../protocol/worker-api.js';
import { tf } from '../tf.js';
import { rowsOf } from './rows.js';

export function byteLengthOf({ size, dtype }: tf.Tensor): number {
  return size * tf.util.bytesPerElement(dtype);
}

/** Elements to be copied, read when it is their turn: on some backends reading is a copy by itself. */
export interface ElementSource {
  readonly byteLength: number;
  read(): tf.TypedArray;
}

export function elementsIn(tensor: tf.Tensor): ElementSource {
  return {
    byteLength: byteLengthOf(tensor),
    read: () => tensor.dataSync(),
  };
}

/** Of some rows of a matrix alone. */
export function elementsInRows(matrix: tf.Tensor, rows: RowRange): ElementSource {
  const rowSize = matrix.shape[1]!;
  return {
    byteLength: (rows.end - rows.begin) * rowSize * tf.util.bytesPerElement(matrix.dtype),
    read() {
      // No `tidy`: it would look for tensors among the elements that it returns.
      const part = rowsOf(matrix, rows);
      const elements = part.dataSync();
      part.dispose();
      return elements;
    },
  };
}

/** Copies of elements, one source after another in memory of their own. */
export function sharedBytesOf(sources: readonly ElementSource[]): TensorBytes[] {
  const { byteOffsets, byteLength } = layOut(sources.map(source => source.byteLength));
  const memory = new SharedArrayBuffer(byteLength);
  return sources.map((source, index) => {
    const bytes = new Uint8Array(memory, byteOffsets[index], source.byteLength);
    const elements = source.read();
    bytes.set(new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength));
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
  if (length !== values.length) throw new StateError(`${length} elements are no tensor of shape [${shape}].`);
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
