/**
 * Gradients of dilated convolutions, which tfjs 4.22 refuses ("dilation rates greater than 1 are not yet supported").
 *
 * A filter with dilation d reads the same inputs as a filter with d − 1 zeros between its taps and no dilation, and
 * `same` pads both alike. So the gradient is tfjs's own for the filter with zeros, and the filter's gradient is read at
 * the taps. (Stride and dilation never go together: tfjs refuses that in the forward pass.)
 *
 * Only the registered gradients can be mended. `tf.fused.conv2d` brings one of its own, which still refuses.
 */
import { tf } from '../../tf.js';

type Filter = tf.Tensor4D;
type Pair = readonly [rows: number, columns: number];

/** Replaces the gradients in this thread. Without dilation the ones that were registered before answer as they did. */
export function registerDilatedGradients(): void {
  for (const kernelName of ['Conv2D', 'DepthwiseConv2dNative']) {
    const original = tf.getGradient(kernelName);
    if (original === undefined || original === null || ours.has(original.gradFunc)) continue;
    const gradFunc = withDilation(original.gradFunc);
    ours.add(gradFunc);
    tf.unregisterGradient(kernelName);
    tf.registerGradient({ ...original, gradFunc });
  }
}

/** So that a second call wraps nothing twice. */
const ours = new WeakSet<tf.GradFunc>();

function withDilation(original: tf.GradFunc): tf.GradFunc {
  return (dy, saved, attrs) => {
    const dilations = pairOf(attrs['dilations'] as number | Pair | null | undefined);
    if (dilations[0] === 1 && dilations[1] === 1) return original(dy, saved, attrs);
    const [x, filter] = saved as [tf.Tensor, Filter];
    const spread = withZeros(filter, dilations);
    const gradients = original(dy, [x, spread], { ...attrs, dilations: [1, 1] });
    return {
      x: gradients['x'] as () => tf.Tensor,
      filter: () => takeTaps((gradients['filter'] as () => Filter)(), dilations),
    };
  };
}

function pairOf(dilations: number | Pair | null | undefined): Pair {
  if (dilations === null || dilations === undefined) return [1, 1];
  return typeof dilations === 'number' ? [dilations, dilations] : dilations;
}

/** Puts `dilation − 1` zeros between the taps, rows first, by padding an axis of size 1 after the one to spread. */
function withZeros(filter: Filter, [rows, columns]: Pair): Filter {
  const [height, width, inner, outer] = filter.shape;
  const tall = (height - 1) * rows + 1;
  const wide = (width - 1) * columns + 1;
  const spreadRows = filter
    .reshape([height, 1, width * inner * outer])
    .pad([
      [0, 0],
      [0, rows - 1],
      [0, 0],
    ])
    .reshape([height * rows, width * inner * outer])
    .slice([0, 0], [tall, -1]);
  return spreadRows
    .reshape([tall, width, 1, inner * outer])
    .pad([
      [0, 0],
      [0, 0],
      [0, columns - 1],
      [0, 0],
    ])
    .reshape([tall, width * columns, inner * outer])
    .slice([0, 0, 0], [tall, wide, -1])
    .reshape([tall, wide, inner, outer]);
}

function takeTaps(filter: Filter, [rows, columns]: Pair): Filter {
  return tf.stridedSlice(filter, [0, 0, 0, 0], filter.shape, [rows, columns, 1, 1]) as Filter;
}
