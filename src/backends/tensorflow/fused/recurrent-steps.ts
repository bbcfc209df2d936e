/** What the kernels of recurrent layers whose time steps are ops of Millrace's own have in common. */
import { tf } from '../../../tf.js';
import type { RecurrentSettings, StepSettings } from '../../fused-operations.js';
import { type Attribute, rawOps } from '../raw-ops.js';
import { reshapeRaw } from './dense.js';

/** The ops' numbers for them. */
const GATES: Readonly<Record<RecurrentSettings['gate'], number>> = { sigmoid: 0, hardSigmoid: 1 };
const ACTIVATIONS: Readonly<Record<StepSettings['activation'], number>> = {
  tanh: 0,
  sigmoid: 1,
  relu: 2,
  linear: 3,
};

/** What the ops are told at each step, in the order of computation. */
export function stepAttributes(steps: number, settings: RecurrentSettings): Attribute[][] {
  const raw = rawOps();
  return Array.from({ length: steps }, (_, index) => [
    raw.ints('gate', GATES[settings.gate]),
    raw.ints('activation', ACTIVATIONS[settings.activation]),
    raw.bool('sequences', settings.returnSequences),
    raw.bool('reverse', settings.goBackwards),
    raw.ints('steps', steps),
    raw.ints('index', index),
  ]);
}

/** What the last step gives as the layer's output, with a shape that TensorFlow's graph optimizer knows: of the ops it knows none. */
export function outputOfSteps(
  given: tf.Tensor,
  x: tf.Tensor,
  recurrentKernel: tf.Tensor,
  { returnSequences }: StepSettings,
): tf.Tensor {
  const [batch, steps] = x.shape as [number, number, number];
  const units = recurrentKernel.shape[0]!;
  return reshapeRaw(given, returnSequences ? [batch, steps, units] : [batch, units]);
}

/**
 * A matrix transposed. oneDNN would do it anew for each product: 271 µs for [128, 512]·[128, 512]ᵀ, 234 for what is transposed.
 * It is made outside of the graph, where TensorFlow would put it back into the products.
 */
export function swapRows(matrix: tf.Tensor): tf.Tensor {
  const raw = rawOps();
  const order = tf.tensor1d([1, 0], 'int32');
  const swapped = raw.one('Transpose', [...raw.float, raw.type('Tperm', 'int32')], matrix, order);
  order.dispose();
  return swapped;
}
