/** Global pooling: one op forward, one or two back, without the arrays of ones that tfjs makes for its gradients. */
import { tf } from '../../../tf.js';
import { rawOps } from '../raw-ops.js';
import { reshapeRaw } from './dense.js';
import { register } from './kernel.js';
import { reduce } from './reduce.js';

interface Attributes {
  readonly shape: readonly number[];
}

const runAverage = register<Attributes>({
  name: 'MillraceGlobalAverage',
  forward({ x }) {
    const axes = Array.from({ length: x!.rank - 2 }, (_, index) => index + 1);
    return reduce('Mean', x!, axes);
  },
  saves: { inputs: [], output: false },
  gradient: ([dy], _, { shape }) => ({
    x() {
      const raw = rawOps();
      const [batch, channels] = [shape[0]!, shape[shape.length - 1]!];
      const places = shape.slice(1, -1).reduce((product, size) => product * size, 1);
      const count = tf.scalar(places);
      const target = tf.tensor1d([...shape], 'int32');
      const share = raw.map('Div', dy!, count);
      const spread = reshapeRaw(share, [batch, ...shape.slice(1, -1).map(() => 1), channels]);
      const dx = raw.one('BroadcastTo', [...raw.float, raw.type('Tidx', 'int32')], spread, target);
      tf.dispose([count, target, share, spread]);
      return dx;
    },
  }),
});

export function globalAverage(x: tf.Tensor): tf.Tensor {
  return runAverage({ x }, { shape: x.shape });
}

/** Equal maxima each get the whole gradient, as in tfjs; TensorFlow's pooling gives it to the first alone. */
const runMax = register<object>({
  name: 'MillraceGlobalMax',
  forward: ({ x }) => reduce('Max', x!, [1]),
  saves: { inputs: ['x'], output: true },
  gradient: ([dy], [x, y]) => ({
    x() {
      const raw = rawOps();
      const row = [x!.shape[0]!, 1, x!.shape[2]!];
      const [largest, spread] = [reshapeRaw(y!, row), reshapeRaw(dy!, row)];
      const zero = tf.scalar(0);
      const chosen = raw.map('Equal', x!, largest);
      const dx = raw.map('SelectV2', chosen, spread, zero);
      tf.dispose([largest, spread, zero, chosen]);
      return dx;
    },
  }),
});

export function globalMax(x: tf.Tensor3D): tf.Tensor {
  return runMax({ x }, {});
}
