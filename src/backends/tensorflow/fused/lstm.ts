/**
 * A whole LSTM layer (Hochreiter & Schmidhuber 1997; gates as in tfjs) as one kernel: a graph forward and one back, of one
 * product and one op of Millrace's own a time step.
 *
 *     z = x·K + h·R + b      i, f, g, o = σ(z₀), σ(z₁), φ(z₂), σ(z₃)      c′ = f·c + i·g      h′ = o·φ(c′)
 *
 * The input's part of z is one product over all steps. The gradient goes back through time once, for B, and leaves dz of
 * every step; the gradients of K, R and b are products of it over all steps, and so are W's alone.
 */
import type { tf } from '../../../tf.js';
import type { RecurrentSettings, RecurrentWeights } from '../../fused-operations.js';
import { graphFunction } from '../graph/index.js';
import { hasKernels } from '../kernels.js';
import { rawOps } from '../raw-ops.js';
import { addBias, asMatrix, biasGradient } from './dense.js';
import { register, sharing } from './kernel.js';
import { lstmOfOps } from './lstm-of-ops.js';
import { matMul } from './product.js';
import { forwardOf, inputGradient, swapTime } from './recurrent.js';
import { outputOfSteps, stepAttributes, swapRows } from './recurrent-steps.js';

/**
 * From x, K, R and perhaps b to the layer's output and what the gradient reads: x as rows, the states before each step as rows, gates and
 * candidates as rows, and the cells, [time, batch, units]; all in the order of time.
 */
const forward = graphFunction<RecurrentSettings>('lstm', ([x, kernel, recurrentKernel, bias], settings) => {
  const raw = rawOps();
  const rows = asMatrix(swapTime(x!));
  const projected = addBias(matMul(rows, kernel!), bias);
  let state: tf.Tensor | undefined;
  let buffers: tf.Tensor[] = [];
  for (const attributes of stepAttributes(x!.shape[1]!, settings)) {
    // The first step reads nothing but the projection.
    const inputs =
      state === undefined
        ? Array.from({ length: 6 }, () => projected)
        : [projected, matMul(state, recurrentKernel!), ...buffers];
    const made = raw.many('MillraceLstmStep', attributes, inputs, 5);
    state = made.pop();
    buffers = made;
  }
  const [gates, cells, before, y] = buffers as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  return [
    outputOfSteps(settings.returnSequences ? y : state!, x!, recurrentKernel!, settings),
    rows,
    before,
    gates,
    cells,
  ];
});

/** From the output's gradient, Rᵀ, gates and cells to the gradient of z as rows. */
const backward = graphFunction<RecurrentSettings>(
  'lstm-gradient',
  ([dy, transposed, gates, cells], settings) => {
    const raw = rawOps();
    let kept: tf.Tensor | undefined;
    let fromNext: tf.Tensor[] = [];
    for (const attributes of stepAttributes(cells!.shape[0]!, settings).reverse()) {
      const rest = kept === undefined ? [dy!, dy!, dy!] : [...fromNext, kept];
      const inputs = [dy!, gates!, cells!, ...rest];
      const [keptByNow, dz, dCell] = raw.many('MillraceLstmStepGradient', attributes, inputs, 3);
      kept = keptByNow;
      fromNext = [matMul(dz!, transposed!), dCell!];
    }
    return [kept!];
  },
);

const run = register<RecurrentSettings>({
  name: 'MillraceLstm',
  forward: forwardOf(forward),
  saves: { inputs: ['x', 'kernel', 'recurrentKernel'], output: false },
  gradient([dy], saved, settings) {
    type Known = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    const [x, kernel, recurrentKernel, rows, before, gates, cells] = saved as Known;
    const throughTime = sharing(saved, () => {
      const transposed = swapRows(recurrentKernel);
      const result = backward([dy!, transposed, gates, cells], settings);
      transposed.dispose();
      return result;
    });
    const dz = (): tf.Tensor => throughTime()[0]!;
    return {
      x: () => inputGradient(dz(), kernel, x),
      kernel: () => matMul(rows, dz(), true),
      recurrentKernel: () => matMul(before, dz(), true),
      bias: () => biasGradient(dz()),
    };
  },
});

export function lstm(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return hasKernels() ? run({ x, ...weights }, settings) : lstmOfOps(x, weights, settings);
}
