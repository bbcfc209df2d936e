/** Between raw bytes and tfjs's typed arrays. */
import type * as tf from '@tensorflow/tfjs';
import { ModelError } from '../errors.js';
import type { ElementType, TensorData } from '../protocol/tensor.js';

/** A view of `buffer` as tfjs keeps elements of `dtype`. */
export function typedArrayOf(dtype: tf.DataType, buffer: ArrayBuffer): TensorData {
  if (dtype === 'float32') return new Float32Array(buffer);
  return dtype === 'int32' ? new Int32Array(buffer) : new Uint8Array(buffer);
}

/** The element type of a tensor that is to cross threads. */
export function elementTypeOf(tensor: tf.Tensor): ElementType {
  const { dtype } = tensor;
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw new ModelError(
    `A tensor of dtype '${dtype}' would cross between stages; only float32, int32 and bool can. Cut the model elsewhere ` +
      'with the `partition` option.',
  );
}
