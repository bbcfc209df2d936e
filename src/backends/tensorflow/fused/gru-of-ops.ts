/**
 * What `gru.ts` computes, with TensorFlow's ops in the place of Millrace's own, of which this takes ten a step. With gates kept m
 * times as large, Rₙ is divided by m, and so is the step h′ − n.
 */
import { tf } from '../../../tf.js';
import type { RecurrentSettings, RecurrentWeights } from '../../fused-operations.js';
import { graphFunction } from '../graph/index.js';
import { rawOps } from '../raw-ops.js';
import { addBias, asMatrix, biasGradient } from './dense.js';
import { register, sharing } from './kernel.js';
import { matMul } from './product.js';
import {
  addPresent,
  blocks,
  forwardOf,
  GATES,
  inputGradient,
  inTime,
  joinColumns,
  outputGradients,
  outputOf,
  STEP_ACTIVATIONS,
  splitColumns,
  stackParts,
  stackRows,
  swapTime,
  timeOrder,
  unstack,
  unstackRows,
} from './recurrent.js';

/** What the gradient reads of a step: both gates side by side, the reset state, the candidate, and h − n. */
interface Step {
  readonly gates: tf.Tensor;
  readonly reset: tf.Tensor;
  readonly n: tf.Tensor;
  readonly gap: tf.Tensor;
  /** The state before the step. */
  readonly before: tf.Tensor;
}

const STEP_PARTS = ['gates', 'reset', 'n', 'gap', 'before'] as const satisfies (keyof Step)[];

/** Factors of the columns of K and b, and of R. */
function columnFactors(units: number, { gate }: RecurrentSettings): { k: tf.Tensor; r: tf.Tensor } {
  const { factor, magnitude } = GATES[gate];
  return { k: blocks(units, factor, factor, 1), r: blocks(units, factor, factor, 1 / magnitude) };
}

/** The columns of the gates and those of the candidate. */
function partColumns(weight: tf.Tensor, units: number): [tf.Tensor, tf.Tensor] {
  return tf.split(weight, [2 * units, units], weight.rank - 1) as [tf.Tensor, tf.Tensor];
}

/**
 * From x, K, R and perhaps b to the layer's output and what the gradient reads: K and both parts of R with their factors, x as
 * rows, and the parts of all steps, each [time, batch, …] in the order of time.
 */
const forward = graphFunction<RecurrentSettings>(
  'gru-of-ops',
  ([x, kernel, recurrentKernel, bias], settings) => {
    const raw = rawOps();
    const gate = GATES[settings.gate];
    const activation = STEP_ACTIVATIONS[settings.activation];
    const [batch, steps] = x!.shape as [number, number, number];
    const units = recurrentKernel!.shape[0]!;
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
    const shrink = tf.scalar(1 / gate.magnitude);
    const done: Step[] = [];
    const states: tf.Tensor[] = [];
    for (const time of timeOrder(steps, settings.goBackwards)) {
      const before = states.at(-1) ?? tf.zeros([batch, units]);
      const gates = gate.apply(raw.map('AddV2', matMul(before, rGates), forGates[time]!));
      const [u, r] = splitColumns(gates, 2) as [tf.Tensor, tf.Tensor];
      const reset = raw.map('Mul', r, before);
      const n = activation.apply(raw.map('AddV2', matMul(reset, rCandidate), forCandidate[time]!));
      const gap = raw.map('Sub', before, n);
      const moved = raw.map('Mul', u, gap);
      const kept = gate.magnitude === 1 ? moved : raw.map('Mul', moved, shrink);
      done.push({ gates, reset, n, gap, before });
      states.push(raw.map('AddV2', n, kept));
    }
    return [
      outputOf(states, settings, tf.scalar(1)),
      k,
      rGates,
      rCandidate,
      rows,
      ...stackParts(inTime(done, settings), STEP_PARTS),
    ];
  },
);

/** From the output's gradient, both parts of R and the parts of all steps to those of the gates and the candidate, as rows. */
const backward = graphFunction<RecurrentSettings>(
  'gru-of-ops-gradient',
  ([dy, rGates, rCandidate, ...parts], settings) => {
    const raw = rawOps();
    const gate = GATES[settings.gate];
    const activation = STEP_ACTIVATIONS[settings.activation];
    const steps = parts[0]!.shape[0]!;
    const order = timeOrder(steps, settings.goBackwards);
    const unstacked = parts.map(part => unstack(part, 0));
    const shrink = tf.scalar(1 / gate.magnitude);
    const received = outputGradients(dy!, steps, settings.returnSequences, 1);
    const ofGates: tf.Tensor[] = [];
    const ofCandidate: tf.Tensor[] = [];
    let dhNext: tf.Tensor | undefined;
    for (let index = steps - 1; index >= 0; index--) {
      const time = order[index]!;
      const [gates, , n, gap, before] = unstacked.map(slices => slices[time]!);
      const [u, r] = splitColumns(gates!, 2) as [tf.Tensor, tf.Tensor];
      const dh = addPresent(received[index], dhNext);
      const shrunk = gate.magnitude === 1 ? dh : raw.map('Mul', dh, shrink);
      const direct = raw.map('Mul', shrunk, u);
      const dn = activation.gradient(raw.map('Sub', dh, direct), n!);
      const dReset = matMul(dn, rCandidate!, false, true);
      const joined = joinColumns([raw.map('Mul', shrunk, gap!), raw.map('Mul', dReset, before!)]);
      const dz = gate.gradient(joined, gates!);
      const throughReset = raw.map('AddV2', direct, raw.map('Mul', dReset, r));
      dhNext = raw.map('AddV2', throughReset, matMul(dz, rGates!, false, true));
      ofGates[time] = dz;
      ofCandidate[time] = dn;
    }
    return [stackRows(ofGates), stackRows(ofCandidate)];
  },
);

const run = register<RecurrentSettings>({
  name: 'MillraceGruOfOps',
  forward: forwardOf(forward),
  saves: { inputs: ['x'], output: false },
  gradient([dy], saved, settings) {
    type Known = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, ...tf.Tensor[]];
    const [x, k, rGates, rCandidate, rows, ...rest] = saved as Known;
    const parts = rest.slice(0, STEP_PARTS.length);
    const units = rGates.shape[0]!;
    const raw = rawOps();
    const throughTime = sharing(saved, () => backward([dy!, rGates, rCandidate, ...parts], settings));
    const [, reset, , , before] = parts;
    /** A weight's gradient from what its gates' and its candidate's columns are multiplied with. */
    const product = (forGates: tf.Tensor, forCandidate: tf.Tensor): tf.Tensor => {
      const [gates, candidate] = throughTime() as [tf.Tensor, tf.Tensor];
      return joinColumns([matMul(forGates, gates, true), matMul(forCandidate, candidate, true)]);
    };
    return {
      x: () => {
        const dz = joinColumns(throughTime());
        const dx = inputGradient(dz, k, x);
        dz.dispose();
        return dx;
      },
      kernel: () => tf.tidy(() => raw.map('Mul', product(rows, rows), columnFactors(units, settings).k)),
      recurrentKernel: () =>
        tf.tidy(() =>
          raw.map('Mul', product(asMatrix(before!), asMatrix(reset!)), columnFactors(units, settings).r),
        ),
      bias: () =>
        tf.tidy(() => {
          const gradient = biasGradient(joinColumns(throughTime()));
          return raw.map('Mul', gradient, columnFactors(units, settings).k);
        }),
    };
  },
});

export function gruOfOps(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return run({ x, ...weights }, settings);
}
