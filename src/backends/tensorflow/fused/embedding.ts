/** Embeddings: a gather forward, and one sum over segments back, where tfjs transposes its values there and back. */
import { tf } from '../../../tf.js';
import { rawOps } from '../raw-ops.js';
import { asMatrix, reshapeRaw } from './dense.js';
import { register } from './kernel.js';

interface Attributes {
  readonly rows: number;
}

const run = register<Attributes>({
  name: 'MillraceEmbedding',
  forward({ table, indices }) {
    const raw = rawOps();
    const axis = tf.scalar(0, 'int32');
    const attributes = [
      raw.type('Tparams'),
      raw.type('Tindices', 'int32'),
      raw.type('Taxis', 'int32'),
      raw.ints('batch_dims', 0),
    ];
    const gathered = raw.one('GatherV2', attributes, table!, indices!, axis);
    axis.dispose();
    return gathered;
  },
  saves: { inputs: ['indices'], output: false },
  gradient: ([dy], [indices], { rows }) => ({
    table() {
      const raw = rawOps();
      const values = asMatrix(dy!);
      const attributes = [...raw.float, raw.type('Tindices', 'int32'), raw.type('Tnumsegments', 'int32')];
      const count = tf.scalar(rows, 'int32');
      const flat = reshapeRaw(indices!, [indices!.size]);
      const sums = raw.one('UnsortedSegmentSum', attributes, values, flat, count);
      tf.dispose([values, count, flat]);
      return sums;
    },
  }),
});

export function embedding(table: tf.Tensor, indices: tf.Tensor): tf.Tensor {
  return run({ table, indices }, { rows: table.shape[0]! });
}
