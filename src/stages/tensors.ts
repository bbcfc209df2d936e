/** What may cross between stages. */
import type * as tf from '@tensorflow/tfjs';
import { ModelError } from '../errors.js';
import type { ElementType } from '../protocol/tensor.js';

/** The element type of a tensor that is to cross threads. */
export function elementTypeOf(tensor: tf.Tensor): ElementType {
  const { dtype } = tensor;
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw new ModelError(
    `A tensor of dtype '${dtype}' would cross between stages; only float32, int32 and bool can. Cut the model elsewhere ` +
      'with the `partition` option.',
  );
}
