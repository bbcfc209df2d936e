/**
 * A whole GRU layer (Cho et al., arXiv 1406.1078; the reset gate before the product, as in tfjs) as one kernel: a graph forward and one
 * back, of two products and two ops of Millrace's own a time step.
 *
 *     u, r = σ(x·K₂ + h·R₂ + b₂)      n = φ(x·Kₙ + (r·h)·Rₙ + bₙ)      h′ = u·h + (1 − u)·n = n + u·(h − n)
 *
 * As in `lstm.ts`, the input's parts are products over all steps, the gradient goes back through time once, for B, and W
 * is products over all steps.
 */
import { tf } from '../../../tf.js';
import type { RecurrentSettings, RecurrentWeights } from '../../fused-operations.js';
import { graphFunction } from '../graph/index.js';
import { hasKernels } from '../kernels.js';
import { rawOps } from '../raw-ops.js';
import { addBias, asMatrix, biasGradient } from './dense.js';
import { gruOfOps } from './gru-of-ops.js';
import { register, sharing } from './kernel.js';
import { matMul } from './product.js';
import { forwardOf, inputGradient, joinColumns, swapTime } from './recurrent.js';
import { outputOfSteps, stepAttributes, swapRows } from './recurrent-steps.js';

/** The columns of both gates and those of the candidate. */
function partColumns(weight: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const units = weight.shape[0]!;
  return tf.split(weight, [2 * units, units], 1) as [tf.Tensor, tf.Tensor];
}

/**
 * From x, K, R and perhaps b to the layer's output and what the gradient reads, as rows in the order of time: x, gates, reset states, states
 * before each step, and candidates.
 */
const forward = graphFunction<RecurrentSettings>('gru', ([x, kernel, recurrentKernel, bias], settings) => {
  const raw = rawOps();
  const [forGates, forCandidate] = partColumns(recurrentKernel!);
  const rows = asMatrix(swapTime(x!));
  const projected = addBias(matMul(rows, kernel!), bias);
  let gateBuffers: tf.Tensor[] = [];
  let stateBuffers: tf.Tensor[] = [];
  let state: tf.Tensor | undefined;
  for (const attributes of stepAttributes(x!.shape[1]!, settings)) {
    // The first step reads nothing but the projection, and the gates made of it.
    const before = state && [matMul(state, forGates), ...gateBuffers, stateBuffers[0]!];
    const forReset = [projected, ...(before ?? Array.from({ length: 4 }, () => projected))];
    const [gates, kept, reset] = raw.many('MillraceGruGates', attributes, forReset, 3);
    gateBuffers = [gates!, kept!];
    const product = state === undefined ? projected : matMul(reset!, forCandidate);
    const buffers = state === undefined ? Array.from({ length: 3 }, () => projected) : stateBuffers;
    const made = raw.many('MillraceGruState', attributes, [projected, product, gates!, ...buffers], 4);
    state = made.pop();
    stateBuffers = made;
  }
  const [states, candidates, y] = stateBuffers as [tf.Tensor, tf.Tensor, tf.Tensor];
  return [
    outputOfSteps(settings.returnSequences ? y : state!, x!, recurrentKernel!, settings),
    rows,
    ...gateBuffers,
    states,
    candidates,
  ];
});

/**
 * From the output's gradient, both parts of R transposed, gates, states before each step and candidates to the gradients of what the gates,
 * all three parts and the candidate are made of, as rows.
 */
const backward = graphFunction<RecurrentSettings>(
  'gru-gradient',
  ([dy, forGates, forCandidate, gates, states, candidates], settings) => {
    const raw = rawOps();
    const steps = states!.shape[0]! / dy!.shape[0]!;
    let kept: tf.Tensor[] | undefined;
    let fromNext = [dy!, dy!];
    for (const attributes of stepAttributes(steps, settings).reverse()) {
      const forState = [dy!, gates!, candidates!, ...fromNext];
      const [dState, dCandidate] = raw.many('MillraceGruCandidateGradient', attributes, forState, 2);
      const dReset = matMul(dCandidate!, forCandidate!);
      const buffers = kept ?? [dy!, dy!, dy!];
      const inputs = [dState!, dCandidate!, dReset, gates!, candidates!, states!, ...buffers];
      const made = raw.many('MillraceGruGateGradient', attributes, inputs, 5);
      const [dz, direct] = made.splice(3) as [tf.Tensor, tf.Tensor];
      kept = made;
      fromNext = [direct, matMul(dz, forGates!)];
    }
    return kept!;
  },
);

const run = register<RecurrentSettings>({
  name: 'MillraceGru',
  forward: forwardOf(forward),
  saves: { inputs: ['x', 'kernel', 'recurrentKernel'], output: false },
  gradient([dy], saved, settings) {
    type Known = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    const [x, kernel, recurrentKernel, rows, gates, reset, states, candidates] = saved as Known;
    const throughTime = sharing(saved, () => {
      const parts = partColumns(recurrentKernel);
      const transposed = parts.map(swapRows);
      const result = backward([dy!, ...transposed, gates, states, candidates], settings);
      tf.dispose([...parts, ...transposed]);
      return result;
    });
    const all = (): tf.Tensor => throughTime()[1]!;
    return {
      x: () => inputGradient(all(), kernel, x),
      kernel: () => matMul(rows, all(), true),
      recurrentKernel: () =>
        tf.tidy(() => {
          const [ofGates, , ofCandidate] = throughTime() as [tf.Tensor, tf.Tensor, tf.Tensor];
          return joinColumns([matMul(states, ofGates, true), matMul(reset, ofCandidate, true)]);
        }),
      bias: () => biasGradient(all()),
    };
  },
});

export function gru(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return hasKernels() ? run({ x, ...weights }, settings) : gruOfOps(x, weights, settings);
}
