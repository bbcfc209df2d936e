/**
 * What `lstm.ts` computes, with TensorFlow's ops in the place of Millrace's own, of which this takes a dozen a step: a graph forward and
 * one back, where tfjs records about 25 operations a step and replays them in twice as many.
 *
 * With gates kept m times as large (see `recurrent.ts`): H = O·φ(c) is m·h, so R is divided by m, and what is
 * multiplied with a gate afterwards too.
 *
 * TensorFlow has one op over all steps for sigmoid gates, `BlockLSTMV2`, whose products are Eigen's: for 32 steps of [64, 128]
 * and back it takes 26 ms against 20 here, for [128, 128] 47 against 47, and its gradient does not part B from W.
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

/** What the gradient reads of a step: gates and candidate, and the state before and after activation. */
interface Step {
  readonly i: tf.Tensor;
  readonly f: tf.Tensor;
  readonly g: tf.Tensor;
  readonly o: tf.Tensor;
  readonly c: tf.Tensor;
  readonly a: tf.Tensor;
}

const STEP_PARTS = ['i', 'f', 'g', 'o', 'c', 'a'] as const satisfies (keyof Step)[];

/** Factors of the columns of K, R and b. */
function columnFactors(units: number, { gate }: RecurrentSettings): { k: tf.Tensor; r: tf.Tensor } {
  const { factor, magnitude } = GATES[gate];
  return {
    k: blocks(units, factor, factor, 1, factor),
    r: blocks(units, factor / magnitude, factor / magnitude, 1 / magnitude, factor / magnitude),
  };
}

/**
 * From x, K, R and perhaps b to the layer's output and what the gradient reads: K and R with their factors, x and the states
 * before each step as rows, and the parts of all steps, each [time, batch, units] in the order of computation.
 */
const forward = graphFunction<RecurrentSettings>(
  'lstm-of-ops',
  ([x, kernel, recurrentKernel, bias], settings) => {
    const raw = rawOps();
    const gate = GATES[settings.gate];
    const activation = STEP_ACTIVATIONS[settings.activation];
    const [batch, steps] = x!.shape as [number, number, number];
    const units = recurrentKernel!.shape[0]!;
    const factors = columnFactors(units, settings);
    const k = raw.map('Mul', kernel!, factors.k);
    const r = raw.map('Mul', recurrentKernel!, factors.r);
    const offsets = blocks(units, gate.offset, gate.offset, 0, gate.offset);
    const b = bias === undefined ? offsets : raw.map('AddV2', raw.map('Mul', bias, factors.k), offsets);
    const rows = asMatrix(swapTime(x!));
    const projected = unstackRows(addBias(matMul(rows, k), b), steps);
    const zeros = tf.zeros([batch, units]);
    const shrink = tf.scalar(1 / gate.magnitude);
    const done: Step[] = [];
    const states = [zeros];
    for (const time of timeOrder(steps, settings.goBackwards)) {
      const z = raw.map('AddV2', matMul(states.at(-1)!, r), projected[time]!);
      const [zi, zf, zg, zo] = splitColumns(z, 4) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
      const [i, f, o] = [gate.apply(zi), gate.apply(zf), gate.apply(zo)];
      const g = activation.apply(zg);
      const sum = raw.map('AddV2', raw.map('Mul', f, done.at(-1)?.c ?? zeros), raw.map('Mul', i, g));
      const c = gate.magnitude === 1 ? sum : raw.map('Mul', sum, shrink);
      const a = activation.apply(c);
      done.push({ i, f, g, o, c, a });
      states.push(raw.map('Mul', o, a));
    }
    return [
      outputOf(states.slice(1), settings, shrink),
      k,
      r,
      rows,
      stackRows(inTime(states.slice(0, -1), settings)),
      ...stackParts(done, STEP_PARTS),
    ];
  },
);

/** From the output's gradient, R and the parts of all steps to the gradient of z as rows. */
const backward = graphFunction<RecurrentSettings>('lstm-of-ops-gradient', ([dy, r, ...parts], settings) => {
  const raw = rawOps();
  const gate = GATES[settings.gate];
  const activation = STEP_ACTIVATIONS[settings.activation];
  const [steps, batch, units] = parts[0]!.shape as [number, number, number];
  const unstacked = parts.map(part => unstack(part, 0));
  const step = (index: number): Step => {
    const [i, f, g, o, c, a] = unstacked.map(slices => slices[index]!);
    return { i: i!, f: f!, g: g!, o: o!, c: c!, a: a! };
  };
  const zeros = tf.zeros([batch, units]);
  const shrink = tf.scalar(1 / gate.magnitude);
  const received = outputGradients(dy!, steps, settings.returnSequences, 1 / gate.magnitude);
  const dz: tf.Tensor[] = [];
  let dhNext: tf.Tensor | undefined;
  let dcNext: tf.Tensor | undefined;
  for (let index = steps - 1; index >= 0; index--) {
    const { i, f, g, o, a } = step(index);
    const before = index === 0 ? zeros : step(index - 1).c;
    const dh = addPresent(received[index], dhNext);
    const sum = addPresent(dcNext, activation.gradient(raw.map('Mul', dh, o), a));
    const dc = gate.magnitude === 1 ? sum : raw.map('Mul', sum, shrink);
    const joined = joinColumns([
      gate.gradient(raw.map('Mul', dc, g), i),
      gate.gradient(raw.map('Mul', dc, before), f),
      activation.gradient(raw.map('Mul', dc, i), g),
      gate.gradient(raw.map('Mul', dh, a), o),
    ]);
    dz.unshift(joined);
    dhNext = matMul(joined, r!, false, true);
    dcNext = raw.map('Mul', dc, f);
  }
  return [stackRows(inTime(dz, settings))];
});

const run = register<RecurrentSettings>({
  name: 'MillraceLstmOfOps',
  forward: forwardOf(forward),
  saves: { inputs: ['x'], output: false },
  gradient([dy], saved, settings) {
    type Known = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, ...tf.Tensor[]];
    const [x, k, r, rows, before, ...rest] = saved as Known;
    const units = r.shape[0]!;
    const raw = rawOps();
    const throughTime = sharing(saved, () =>
      backward([dy!, r, ...rest.slice(0, STEP_PARTS.length)], settings),
    );
    const dz = (): tf.Tensor => throughTime()[0]!;
    return {
      x: () => inputGradient(dz(), k, x),
      kernel: () => tf.tidy(() => raw.map('Mul', matMul(rows, dz(), true), columnFactors(units, settings).k)),
      recurrentKernel: () =>
        tf.tidy(() => raw.map('Mul', matMul(before, dz(), true), columnFactors(units, settings).r)),
      bias: () => tf.tidy(() => raw.map('Mul', biasGradient(dz()), columnFactors(units, settings).k)),
    };
  },
});

export function lstmOfOps(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return run({ x, ...weights }, settings);
}
