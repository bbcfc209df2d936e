/** What ops share that slide a window over images. */
import { tf } from '../../../tf.js';
import { type Attribute, rawOps } from '../raw-ops.js';

interface Sliding {
  /** Along height and width. */
  readonly strides: readonly [number, number];
  readonly padding: 'same' | 'valid';
}

/** What has no default: each attribute that is passed costs half a microsecond a call. */
export function slidingAttributes({ strides: [height, width], padding }: Sliding): Attribute[] {
  const raw = rawOps();
  return [
    ...raw.float,
    raw.ints('strides', [1, height, width, 1]),
    raw.string('padding', padding.toUpperCase()),
  ];
}

/** Gives an op the shape of what it is to make. */
export function withShape(
  { shape }: Pick<tf.Tensor, 'shape'>,
  use: (shape: tf.Tensor) => tf.Tensor,
): tf.Tensor {
  const wanted = tf.tensor1d(shape, 'int32');
  const result = use(wanted);
  wanted.dispose();
  return result;
}
