import { tf } from '../../../tf.js';
import { rawOps } from '../raw-ops.js';

/** Over some axes, which the result does without. */
export function reduce(op: 'Mean' | 'Max' | 'Sum', x: tf.Tensor, axes: readonly number[]): tf.Tensor {
  const raw = rawOps();
  const along = tf.tensor1d([...axes], 'int32');
  const attributes = [...raw.float, raw.type('Tidx', 'int32')];
  const reduced = raw.one(op, attributes, x, along);
  along.dispose();
  return reduced;
}
