/**
 * A whole SimpleRNN layer (Elman, Cognitive Science 14, 1990; as in tfjs) as one kernel: a graph forward and one back.
 *
 *     h′ = φ(x·K + h·R + b)
 *
 * As in `lstm.ts`, the input's part is one product over all steps, the gradient goes back through time once, for B, and W is
 * products over all steps.
 */
import { tf } from '../../../tf.js';
import type { RecurrentWeights, StepSettings } from '../../fused-operations.js';
import { graphFunction } from '../graph/index.js';
import { rawOps } from '../raw-ops.js';
import { addBias, asMatrix, biasGradient } from './dense.js';
import { register, sharing } from './kernel.js';
import { matMul } from './product.js';
import {
  addPresent,
  forwardOf,
  inputGradient,
  inTime,
  outputGradients,
  outputOf,
  STEP_ACTIVATIONS,
  stack,
  stackRows,
  swapTime,
  timeOrder,
  unstack,
  unstackRows,
} from './recurrent.js';

/**
 * From x, K, R and perhaps b to the layer's output and what the gradient reads: x and the states before each step as rows, and
 * the states after each, [time, batch, units] in the order of computation.
 */
const forward = graphFunction<StepSettings>('simple-rnn', ([x, kernel, recurrentKernel, bias], settings) => {
  const activation = STEP_ACTIVATIONS[settings.activation];
  const [batch, steps] = x!.shape as [number, number, number];
  const rows = asMatrix(swapTime(x!));
  const projected = unstackRows(addBias(matMul(rows, kernel!), bias), steps);
  const states = [tf.zeros([batch, recurrentKernel!.shape[0]!])];
  for (const time of timeOrder(steps, settings.goBackwards)) {
    const z = rawOps().map('AddV2', matMul(states.at(-1)!, recurrentKernel!), projected[time]!);
    states.push(activation.apply(z));
  }
  const after = states.slice(1);
  return [
    outputOf(after, settings, tf.scalar(1)),
    rows,
    stackRows(inTime(states.slice(0, -1), settings)),
    stack(after, 0),
  ];
});

/** From the output's gradient, R and the states after each step to the gradient of z as rows. */
const backward = graphFunction<StepSettings>('simple-rnn-gradient', ([dy, r, after], settings) => {
  const activation = STEP_ACTIVATIONS[settings.activation];
  const states = unstack(after!, 0);
  const received = outputGradients(dy!, states.length, settings.returnSequences, 1);
  const dz: tf.Tensor[] = [];
  let dhNext: tf.Tensor | undefined;
  for (let index = states.length - 1; index >= 0; index--) {
    const dh = addPresent(received[index], dhNext);
    const dzHere = activation.gradient(dh, states[index]!);
    dz.unshift(dzHere);
    dhNext = matMul(dzHere, r!, false, true);
  }
  return [stackRows(inTime(dz, settings))];
});

const run = register<StepSettings>({
  name: 'MillraceSimpleRnn',
  forward: forwardOf(forward),
  saves: { inputs: ['x', 'kernel', 'recurrentKernel'], output: false },
  gradient([dy], saved, settings) {
    type Known = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    const [x, kernel, recurrentKernel, rows, before, after] = saved as Known;
    const throughTime = sharing(saved, () => backward([dy!, recurrentKernel, after], settings));
    const dz = (): tf.Tensor => throughTime()[0]!;
    return {
      x: () => inputGradient(dz(), kernel, x),
      kernel: () => matMul(rows, dz(), true),
      recurrentKernel: () => matMul(before, dz(), true),
      bias: () => biasGradient(dz()),
    };
  },
});

export function simpleRnn(x: tf.Tensor3D, weights: RecurrentWeights, settings: StepSettings): tf.Tensor {
  return run({ x, ...weights }, settings);
}
