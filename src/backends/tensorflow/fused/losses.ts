/**
 * tfjs's categorical cross-entropy on probabilities, which it scales to sum to 1 and clips at ε and 1 − ε before the
 * logarithm. TensorFlow's `SoftmaxCrossEntropyWithLogits` clips nothing, so that its gradient of a badly missed
 * sample is −1 where tfjs has 0: it would train to other numbers.
 */
import { tf } from '../../../tf.js';
import { isRecording } from '../graph/index.js';
import { type Attribute, rawOps } from '../raw-ops.js';
import { register } from './kernel.js';

function sumOverLast(x: tf.Tensor, keepDims: boolean): tf.Tensor {
  const raw = rawOps();
  const axis = tf.scalar(x.rank - 1, 'int32');
  const attributes: Attribute[] = [...raw.float, raw.bool('keep_dims', keepDims), raw.type('Tidx', 'int32')];
  const sum = raw.one('Sum', attributes, x, axis);
  axis.dispose();
  return sum;
}

/**
 * Up to so many probabilities the loss and its gradient are computed here, row by row: a few dozen microseconds for 128 rows of
 * 10, where two dozen ops of TensorFlow take 15 to 25 each. Not in a graph, where an op costs 2.
 */
const MOST_SMALL_ELEMENTS = 8_192;

interface SmallLoss {
  readonly shape: readonly number[];
  /** What each loss's gradient is multiplied with, in that shape: made by the forward pass. */
  direction?: Float32Array;
}

const runSmall = register<SmallLoss>({
  name: 'MillraceCategoricalCrossentropy',
  forward({ target, probabilities }, attributes) {
    const classes = probabilities!.shape.at(-1)!;
    const losses = new Float32Array(probabilities!.size / classes);
    attributes.direction = crossEntropy(target!.dataSync(), probabilities!.dataSync(), classes, losses);
    return tf.tensor(losses, probabilities!.shape.slice(0, -1));
  },
  saves: { inputs: [], output: false },
  gradient: ([dy], _, { direction, shape }) => ({
    probabilities() {
      const gradients = dy!.dataSync();
      const classes = shape.at(-1)!;
      const scaled = direction!.map((value, index) => value * gradients[Math.floor(index / classes)]!);
      return tf.tensor(scaled, [...shape]);
    },
  }),
});

/**
 * Writes the loss of each row. With q = p ∕ Σp and g = −t ∕ q where q was not clipped, the gradient's direction, which it
 * returns, is (g − Σ g·q) ∕ Σp.
 */
function crossEntropy(
  targets: tf.TypedArray,
  probabilities: tf.TypedArray,
  classes: number,
  losses: Float32Array,
): Float32Array {
  // As float32, which is what tfjs clips and compares with.
  const low = Math.fround(tf.backend().epsilon());
  const high = Math.fround(1 - tf.backend().epsilon());
  const direction = new Float32Array(probabilities.length);
  for (let row = 0; row < losses.length; row++) {
    const start = row * classes;
    const end = start + classes;
    let total = 0;
    for (let index = start; index < end; index++) total += probabilities[index]!;
    let loss = 0;
    let projected = 0;
    for (let index = start; index < end; index++) {
      const scaled = Math.fround(probabilities[index]! / total);
      const target = targets[index]!;
      if (target !== 0 || Number.isNaN(scaled))
        loss -= target * Math.log(Math.min(Math.max(scaled, low), high));
      if (scaled < low || scaled > high) continue;
      direction[index] = -target / scaled;
      projected -= target;
    }
    losses[row] = loss;
    for (let index = start; index < end; index++) direction[index] = (direction[index]! - projected) / total;
  }
  return direction;
}

const runLarge = register<object>({
  name: 'MillraceLargeCrossentropy',
  forward({ target, probabilities }, _, hide) {
    const raw = rawOps();
    const total = sumOverLast(probabilities!, true);
    const scaled = raw.map('Div', probabilities!, total);
    const epsilon = tf.backend().epsilon();
    const [low, high] = [tf.scalar(epsilon), tf.scalar(1 - epsilon)];
    const clipped = raw.map('ClipByValue', scaled, low, high);
    const logarithm = raw.map('Log', clipped);
    const product = raw.map('Mul', target!, logarithm);
    const sum = sumOverLast(product, false);
    const loss = raw.map('Neg', sum);
    tf.dispose([low, high, clipped, logarithm, product, sum]);
    hide([scaled, total]);
    return loss;
  },
  saves: { inputs: ['target'], output: false },
  gradient: ([dy], [target, scaled, total]) => ({
    /** With q = p ∕ Σp and g = −t ∕ q where q was not clipped: (g − Σ g·q) ∕ Σp. */
    probabilities() {
      return tf.tidy(() => {
        const raw = rawOps();
        const epsilon = tf.backend().epsilon();
        const low = raw.map('GreaterEqual', scaled!, tf.scalar(epsilon));
        const high = raw.map('LessEqual', scaled!, tf.scalar(1 - epsilon));
        const unclipped = raw.one('LogicalAnd', [], low, high);
        const quotient = raw.map('Div', target!, scaled!);
        const g = raw.map('SelectV2', unclipped, quotient, tf.scalar(0));
        const projected = sumOverLast(raw.map('Mul', g, scaled!), true);
        const direction = raw.map('Div', raw.map('Sub', projected, g), total!);
        return raw.map('Mul', direction, tf.expandDims(dy!, -1));
      });
    },
  }),
});

export function categoricalCrossentropy(target: tf.Tensor, probabilities: tf.Tensor): tf.Tensor {
  const isSmall =
    !isRecording() &&
    probabilities.size <= MOST_SMALL_ELEMENTS &&
    tf.util.arraysEqual(target.shape, probabilities.shape);
  return isSmall
    ? runSmall({ target, probabilities }, { shape: probabilities.shape })
    : runLarge({ target, probabilities }, {});
}
