/** Parts of matrices. In the caller's scope; where a backend can, they read the whole one's memory. */

import type { RowRange } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';

export function rowsOf(matrix: tf.Tensor, { begin, end }: RowRange): tf.Tensor {
  return tf.slice(matrix, [begin, 0], [end - begin, matrix.shape[1]!]);
}

/** The columns that have a row range's numbers: those of the left factor, where the product's rows are meant. */
export function columnsOf(matrix: tf.Tensor, { begin, end }: RowRange): tf.Tensor {
  return tf.slice(matrix, [0, begin], [matrix.shape[0]!, end - begin]);
}
