/**
 * A whole GRU layer (Cho et al., arXiv 1406.1078; the reset gate before the product, as in tfjs) as one kernel.
 *
 *     u, r = σ(x·K₂ + h·R₂ + b₂)      n = φ(x·Kₙ + (r·h)·Rₙ + bₙ)      h′ = u·h + (1 − u)·n = n + u·(h − n)
 *
 * As in `lstm.ts`, the input's parts are products over all steps, the gradient goes back through time once, for B, and W
 * is products over all steps. With gates kept m times as large, Rₙ is divided by m, and so is the step h′ − n.
 */
import * as tf from '@tensorflow/tfjs';
import type { RecurrentSettings, RecurrentWeights } from '../../fused-operations.js';
import { rawOps } from '../raw-ops.js';
import { addBias, asMatrix, biasGradient, matMul } from './dense.js';
import { register, sharing } from './kernel.js';
import {
  addPresent,
  blocks,
  GATES,
  joinColumns,
  outputGradients,
  outputOf,
  STEP_ACTIVATIONS,
  splitColumns,
  stackRows,
  swapTime,
  timeOrder,
  unstackRows,
} from './recurrent.js';

/** Of one step: both gates side by side and apart, the reset state, the candidate, h − n, and the output. */
interface Step {
  readonly gates: tf.Tensor;
  readonly u: tf.Tensor;
  readonly r: tf.Tensor;
  readonly reset: tf.Tensor;
  readonly n: tf.Tensor;
  readonly gap: tf.Tensor;
  readonly h: tf.Tensor;
}

const STEP_SIZE = 7;

function flatten({ gates, u, r, reset, n, gap, h }: Step): tf.Tensor[] {
  return [gates, u, r, reset, n, gap, h];
}

function unflatten(tensors: readonly tf.Tensor[], index: number): Step {
  const [gates, u, r, reset, n, gap, h] = tensors.slice(index * STEP_SIZE, (index + 1) * STEP_SIZE);
  return { gates: gates!, u: u!, r: r!, reset: reset!, n: n!, gap: gap!, h: h! };
}

/** Factors of the columns of K and b, and of R. */
function columnFactors(units: number, { gate }: RecurrentSettings): { k: tf.Tensor; r: tf.Tensor } {
  const { factor, magnitude } = GATES[gate];
  return { k: blocks(units, factor, factor, 1), r: blocks(units, factor, factor, 1 / magnitude) };
}

/** The columns of the gates and those of the candidate. */
function partColumns(weight: tf.Tensor, units: number): [tf.Tensor, tf.Tensor] {
  return tf.split(weight, [2 * units, units], weight.rank - 1) as [tf.Tensor, tf.Tensor];
}

const run = register<RecurrentSettings>({
  name: 'MillraceGru',
  forward({ x, kernel, recurrentKernel, bias }, settings, hide) {
    const raw = rawOps();
    const gate = GATES[settings.gate];
    const activation = STEP_ACTIVATIONS[settings.activation];
    const [batch, steps] = x!.shape as [number, number, number];
    const units = recurrentKernel!.shape[0]!;
    return tf.tidy(() => {
      const factors = columnFactors(units, settings);
      const k = raw.map('Mul', kernel!, factors.k);
      const offsets = blocks(units, gate.offset, gate.offset, 0);
      const b = bias === undefined ? offsets : raw.map('AddV2', raw.map('Mul', bias, factors.k), offsets);
      const [kGates, kCandidate] = partColumns(k, units);
      const [bGates, bCandidate] = partColumns(b, units);
      const [rGates, rCandidate] = partColumns(raw.map('Mul', recurrentKernel!, factors.r), units);
      const rows = asMatrix(swapTime(x!));
      const forGates = unstackRows(addBias(matMul(rows, kGates), bGates), steps);
      const forCandidate = unstackRows(addBias(matMul(rows, kCandidate), bCandidate), steps);
      const zeros = tf.zeros([batch, units]);
      const shrink = tf.scalar(1 / gate.magnitude);
      const done: Step[] = [];
      for (const time of timeOrder(steps, settings.goBackwards)) {
        const before = done.at(-1)?.h ?? zeros;
        done.push(
          tf.tidy(() => {
            const gates = gate.apply(raw.map('AddV2', matMul(before, rGates), forGates[time]!));
            const [u, r] = splitColumns(gates, 2) as [tf.Tensor, tf.Tensor];
            const reset = raw.map('Mul', r, before);
            const n = activation.apply(raw.map('AddV2', matMul(reset, rCandidate), forCandidate[time]!));
            const gap = raw.map('Sub', before, n);
            const moved = raw.map('Mul', u, gap);
            const kept = gate.magnitude === 1 ? moved : raw.map('Mul', moved, shrink);
            return { gates, u, r, reset, n, gap, h: raw.map('AddV2', n, kept) };
          }) as unknown as Step,
        );
      }
      const y = outputOf(
        done.map(({ h }) => h),
        settings,
        tf.scalar(1),
      );
      hide([rows, k, rGates, rCandidate, ...done.flatMap(flatten)].map(tensor => tf.keep(tensor)));
      return y;
    });
  },
  saves: { inputs: ['x'], output: false },
  gradient([dy], saved, settings) {
    type Known = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, ...tf.Tensor[]];
    const [x, rows, k, rGates, rCandidate, ...flat] = saved as Known;
    const [batch, steps] = x.shape as [number, number, number];
    const units = rGates.shape[0]!;
    const raw = rawOps();
    const order = timeOrder(steps, settings.goBackwards);
    const before = (index: number): tf.Tensor =>
      index === 0 ? tf.zeros([batch, units]) : unflatten(flat, index - 1).h;
    const throughTime = sharing(saved, () => {
      const [gates, candidate] = tf.tidy(() => {
        const gate = GATES[settings.gate];
        const activation = STEP_ACTIVATIONS[settings.activation];
        const shrink = tf.scalar(1 / gate.magnitude);
        const received = outputGradients(dy!, steps, settings.returnSequences, 1);
        const ofGates: tf.Tensor[] = [];
        const ofCandidate: tf.Tensor[] = [];
        let dhNext: tf.Tensor | undefined;
        for (let index = steps - 1; index >= 0; index--) {
          const step = unflatten(flat, index);
          const [dGates, dCandidate, dhBefore] = tf.tidy(() => {
            const dh = addPresent(received[index], dhNext);
            const shrunk = gate.magnitude === 1 ? dh : raw.map('Mul', dh, shrink);
            const direct = raw.map('Mul', shrunk, step.u);
            const dn = activation.gradient(raw.map('Sub', dh, direct), step.n);
            const dReset = matMul(dn, rCandidate, false, true);
            const joined = joinColumns([
              raw.map('Mul', shrunk, step.gap),
              raw.map('Mul', dReset, before(index)),
            ]);
            const dz = gate.gradient(joined, step.gates);
            const throughReset = raw.map('AddV2', direct, raw.map('Mul', dReset, step.r));
            return [dz, dn, raw.map('AddV2', throughReset, matMul(dz, rGates, false, true))];
          }) as [tf.Tensor, tf.Tensor, tf.Tensor];
          dhNext?.dispose();
          ofGates[order[index]!] = dGates;
          ofCandidate[order[index]!] = dCandidate;
          dhNext = dhBefore;
        }
        return [stackRows(ofGates), stackRows(ofCandidate)];
      }) as [tf.Tensor, tf.Tensor];
      return [gates, candidate];
    });
    /** A weight's gradient from what its gates' and its candidate's columns are multiplied with. */
    const product = (forGates: tf.Tensor, forCandidate: tf.Tensor): tf.Tensor => {
      const [gates, candidate] = throughTime() as [tf.Tensor, tf.Tensor];
      return joinColumns([matMul(forGates, gates, true), matMul(forCandidate, candidate, true)]);
    };
    return {
      x: () =>
        tf.tidy(() => {
          const dx = matMul(joinColumns(throughTime()), k, false, true);
          return swapTime(tf.reshape(dx, [steps, batch, x.shape[2]!]));
        }),
      kernel: () => tf.tidy(() => raw.map('Mul', product(rows, rows), columnFactors(units, settings).k)),
      recurrentKernel: () =>
        tf.tidy(() => {
          const states: tf.Tensor[] = [];
          const resets: tf.Tensor[] = [];
          for (const [index, time] of order.entries()) {
            states[time] = before(index);
            resets[time] = unflatten(flat, index).reset;
          }
          const gradient = product(stackRows(states), stackRows(resets));
          return raw.map('Mul', gradient, columnFactors(units, settings).r);
        }),
      bias: () =>
        tf.tidy(() => {
          const gradient = biasGradient(joinColumns(throughTime()));
          return raw.map('Mul', gradient, columnFactors(units, settings).k);
        }),
    };
  },
});

export function gru(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return run({ x, ...weights }, settings);
}
