/** Between tensors and the raw bytes in which weights and optimizer slots cross threads. */
import * as tf from '@tensorflow/tfjs';
import type { TensorData } from '../protocol/tensor.js';

/** A copy of the tensor's elements. */
export function bytesOf(tensor: tf.Tensor): ArrayBuffer {
  const data = tensor.dataSync();
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer;
}

/** Sets a variable to what `bytesOf` gave. */
export function assignBytes(variable: tf.Variable, buffer: ArrayBuffer): void {
  const data = typedArrayOf(variable.dtype, buffer);
  tf.tidy(() => variable.assign(tf.tensor(data, variable.shape, variable.dtype as 'float32')));
}

/** A view of `buffer` as tfjs keeps elements of `dtype`. */
function typedArrayOf(dtype: tf.DataType, buffer: ArrayBuffer): TensorData {
  if (dtype === 'float32') return new Float32Array(buffer);
  return dtype === 'int32' ? new Int32Array(buffer) : new Uint8Array(buffer);
}
