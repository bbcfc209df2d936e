/**
 * A whole LSTM layer (Hochreiter & Schmidhuber 1997; gates as in tfjs) as one kernel: 13 ops a step forward and 16 back,
 * where tfjs records about 25 operations a step and replays them in twice as many.
 *
 *     z = x·K + h·R + b      i, f, g, o = σ(z₀), σ(z₁), φ(z₂), σ(z₃)      c′ = f·c + i·g      h′ = o·φ(c′)
 *
 * The input's part of z is one product over all steps. The gradient goes back through time once, for B, and leaves dz of
 * every step; the gradients of K, R and b are products of it over all steps, and so are W's alone.
 *
 * With gates kept m times as large (see `recurrent.ts`): H = O·φ(c) is m·h, so R is divided by m, and what is
 * multiplied with a gate afterwards too.
 */
import * as tf from '@tensorflow/tfjs';
import type { RecurrentSettings, RecurrentWeights } from '../../fused-operations.js';
import { rawOps } from '../raw-ops.js';
import { blockLstm, isBlock } from './block-lstm.js';
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

/** Of one step: gates and candidate, the state before and after activation, the output, all in computation order. */
interface Step {
  readonly i: tf.Tensor;
  readonly f: tf.Tensor;
  readonly g: tf.Tensor;
  readonly o: tf.Tensor;
  readonly c: tf.Tensor;
  readonly a: tf.Tensor;
  readonly h: tf.Tensor;
}

const STEP_SIZE = 7;

function flatten({ i, f, g, o, c, a, h }: Step): tf.Tensor[] {
  return [i, f, g, o, c, a, h];
}

function unflatten(tensors: readonly tf.Tensor[], index: number): Step {
  const [i, f, g, o, c, a, h] = tensors.slice(index * STEP_SIZE, (index + 1) * STEP_SIZE);
  return { i: i!, f: f!, g: g!, o: o!, c: c!, a: a!, h: h! };
}

/** Factors of the columns of K, R and b. */
function columnFactors(units: number, { gate }: RecurrentSettings): { k: tf.Tensor; r: tf.Tensor } {
  const { factor, magnitude } = GATES[gate];
  return {
    k: blocks(units, factor, factor, 1, factor),
    r: blocks(units, factor / magnitude, factor / magnitude, 1 / magnitude, factor / magnitude),
  };
}

const run = register<RecurrentSettings>({
  name: 'MillraceLstm',
  forward({ x, kernel, recurrentKernel, bias }, settings, hide) {
    const raw = rawOps();
    const gate = GATES[settings.gate];
    const activation = STEP_ACTIVATIONS[settings.activation];
    const [batch, steps] = x!.shape as [number, number, number];
    const units = recurrentKernel!.shape[0]!;
    return tf.tidy(() => {
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
      for (const time of timeOrder(steps, settings.goBackwards)) {
        const last = done.at(-1);
        done.push(
          tf.tidy(() => {
            const z = raw.map('AddV2', matMul(last?.h ?? zeros, r), projected[time]!);
            const [zi, zf, zg, zo] = splitColumns(z, 4) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
            const [i, f, o] = [gate.apply(zi), gate.apply(zf), gate.apply(zo)];
            const g = activation.apply(zg);
            const sum = raw.map('AddV2', raw.map('Mul', f, last?.c ?? zeros), raw.map('Mul', i, g));
            const c = gate.magnitude === 1 ? sum : raw.map('Mul', sum, shrink);
            const a = activation.apply(c);
            return { i, f, g, o, c, a, h: raw.map('Mul', o, a) };
          }) as unknown as Step,
        );
      }
      const y = outputOf(
        done.map(({ h }) => h),
        settings,
        shrink,
      );
      hide([rows, k, r, ...done.flatMap(flatten)].map(tensor => tf.keep(tensor)));
      return y;
    });
  },
  saves: { inputs: ['x'], output: false },
  gradient([dy], saved, settings) {
    const [x, rows, k, r, ...flat] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, ...tf.Tensor[]];
    const [batch, steps] = x.shape as [number, number, number];
    const units = r.shape[0]!;
    const raw = rawOps();
    const order = timeOrder(steps, settings.goBackwards);
    const throughTime = sharing(saved, () => [
      tf.tidy(() => {
        const gate = GATES[settings.gate];
        const activation = STEP_ACTIVATIONS[settings.activation];
        const zeros = tf.zeros([batch, units]);
        const shrink = tf.scalar(1 / gate.magnitude);
        const received = outputGradients(dy!, steps, settings.returnSequences, 1 / gate.magnitude);
        const dz: tf.Tensor[] = [];
        let [dhNext, dcNext]: (tf.Tensor | undefined)[] = [];
        for (let index = steps - 1; index >= 0; index--) {
          const { i, f, g, o, a } = unflatten(flat, index);
          const cBefore = index === 0 ? zeros : unflatten(flat, index - 1).c;
          const [dzStep, dh, dc] = tf.tidy(() => {
            const dh = addPresent(received[index], dhNext);
            const through = activation.gradient(raw.map('Mul', dh, o), a);
            const sum = dcNext === undefined ? through : raw.map('AddV2', dcNext, through);
            const dc = gate.magnitude === 1 ? sum : raw.map('Mul', sum, shrink);
            const joined = joinColumns([
              gate.gradient(raw.map('Mul', dc, g), i),
              gate.gradient(raw.map('Mul', dc, cBefore), f),
              activation.gradient(raw.map('Mul', dc, i), g),
              gate.gradient(raw.map('Mul', dh, a), o),
            ]);
            return [joined, matMul(joined, r, false, true), raw.map('Mul', dc, f)];
          }) as [tf.Tensor, tf.Tensor, tf.Tensor];
          tf.dispose([dhNext, dcNext].filter(tensor => tensor !== undefined));
          dz[order[index]!] = dzStep;
          [dhNext, dcNext] = [dh, dc];
        }
        return stackRows(dz);
      }),
    ]);
    const dz = (): tf.Tensor => throughTime()[0]!;
    return {
      x: () =>
        tf.tidy(() => {
          const dx = matMul(dz(), k, false, true);
          return swapTime(tf.reshape(dx, [steps, batch, x.shape[2]!]));
        }),
      kernel: () => tf.tidy(() => raw.map('Mul', matMul(rows, dz(), true), columnFactors(units, settings).k)),
      recurrentKernel: () =>
        tf.tidy(() => {
          const before: tf.Tensor[] = [];
          for (const [index, time] of order.entries()) {
            before[time] = index === 0 ? tf.zeros([batch, units]) : unflatten(flat, index - 1).h;
          }
          return raw.map('Mul', matMul(stackRows(before), dz(), true), columnFactors(units, settings).r);
        }),
      bias: () => tf.tidy(() => raw.map('Mul', biasGradient(dz()), columnFactors(units, settings).k)),
    };
  },
});

export function lstm(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return isBlock(settings) ? blockLstm(x, weights, settings) : run({ x, ...weights }, settings);
}
