/**
 * tfjs's categorical cross-entropy on probabilities, which it scales to sum to 1 and clips at ε and 1 − ε before the
 * logarithm. TensorFlow's `SoftmaxCrossEntropyWithLogits` clips nothing, so that its gradient of a badly missed
 * sample is −1 where tfjs has 0: it would train to other numbers.
 */
import * as tf from '@tensorflow/tfjs';
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

const run = register<object>({
  name: 'MillraceCategoricalCrossentropy',
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
  return run({ target, probabilities }, {});
}
