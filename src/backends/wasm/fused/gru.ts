/**
 * A whole GRU layer (Cho et al., arXiv 1406.1078; the reset gate before the product, as in tfjs) as one kernel.
 *
 *     u, r = σ(x·K₂ + h·R₂ + b₂)      n = φ(x·Kₙ + (r·h)·Rₙ + bₙ)      h′ = u·h + (1 − u)·n
 *
 * As in `lstm.ts`: the input's part is one product over all steps, the gradient goes back through time once, for B, and W is
 * products over all steps. Columns of R are used where they lie.
 */
import { tf } from '../../../tf.js';
import type { RecurrentSettings, RecurrentWeights } from '../../fused-operations.js';
import { registerFused, sharing } from '../../register-fused.js';
import { addressOf, passRoutine, type WasmBackend, wasmBackend } from '../kernels/heap.js';
import { MatrixMultiplier } from '../kernels/mat-mul.js';
import { gruCell } from '../kernels/simd/gru-cell.js';
import { newTensor } from '../tensors.js';
import { FLOAT_BYTES, lastOutputs, outputsBefore, project, type Size, timeOf } from './recurrent.js';

/** What the gradient reads. Gates and reset states lie at their time, outputs at the step that computed them. */
interface Run extends Size {
  /** [batch, time, 3 × units]: u, r and n. */
  readonly gates: tf.Tensor;
  /** [batch, time, units]: r·h. */
  readonly resets: tf.Tensor;
  /** [batch, step, units]. */
  readonly outputs: tf.Tensor;
}

/** Goes through time; `gates` holds the input's parts. */
function runForward(
  backend: WasmBackend,
  run: Run,
  recurrentKernel: tf.Tensor,
  settings: RecurrentSettings,
): void {
  const { batch, steps, units } = run;
  const zeros = tf.zeros([units]);
  const multiplier = new MatrixMultiplier(backend, { m: batch, k: units });
  const passes = gruCell(settings.gate, settings.activation);
  const [openGates, output] = [passRoutine(backend, passes.gates), passRoutine(backend, passes.output)];
  const at = (tensor: tf.Tensor): number => addressOf(backend, tensor);
  const [gates, resets, outputs, zero, kernel] = [
    at(run.gates),
    at(run.resets),
    at(run.outputs),
    at(zeros),
    at(recurrentKernel),
  ];
  const width = units * FLOAT_BYTES;
  const rows = steps * width;
  const columns = (first: number) => ({
    address: kernel + first * width,
    step: 3 * width,
    transposed: false,
  });
  const sequence = (address: number) => ({ address, step: rows, transposed: false });
  for (let step = 0; step < steps; step++) {
    const time = timeOf(step, run, settings);
    const z = gates + time * 3 * width;
    const h = outputs + step * width;
    const reset = resets + time * width;
    const before = (sample: number): number => (step === 0 ? zero : h - width + sample * rows);
    const sum = (first: number) => ({ address: z + first * width, step: 3 * rows, isSum: true });
    if (step > 0) {
      multiplier.multiply(sequence(h - width), columns(0), sum(0), { m: batch, k: units, n: 2 * units });
    }
    for (let sample = 0; sample < batch; sample++) {
      const u = z + sample * 3 * rows;
      openGates(u, u + width, before(sample), reset + sample * rows, units);
    }
    if (step > 0) multiplier.multiply(sequence(reset), columns(2), sum(2), { m: batch, k: units, n: units });
    for (let sample = 0; sample < batch; sample++) {
      const u = z + sample * 3 * rows;
      output(u + 2 * width, u, before(sample), h + sample * rows, units);
    }
  }
  multiplier.dispose();
  zeros.dispose();
}

/** dz of all steps, as [batch, time, 3 × units]. */
function runBackward(
  backend: WasmBackend,
  run: Run,
  recurrentKernel: tf.Tensor,
  dy: tf.Tensor,
  settings: RecurrentSettings,
): tf.Tensor {
  const { batch, steps, units } = run;
  const dz = newTensor(backend, [batch, steps, 3 * units]);
  const buffers = [tf.zeros([units]), tf.zeros([batch, units]), tf.zeros([batch, units])];
  const multiplier = new MatrixMultiplier(backend, { m: batch, k: 2 * units });
  const passes = gruCell(settings.gate, settings.activation);
  const [ofOutput, ofReset] = [passRoutine(backend, passes.ofOutput), passRoutine(backend, passes.ofReset)];
  const at = (tensor: tf.Tensor): number => addressOf(backend, tensor);
  const [zero, dh, dReset] = buffers.map(at) as [number, number, number];
  const [gates, outputs, kernel] = [at(run.gates), at(run.outputs), at(recurrentKernel)];
  const [received, gradients] = [at(dy), at(dz)];
  const width = units * FLOAT_BYTES;
  const rows = steps * width;
  const columns = (first: number) => ({ address: kernel + first * width, step: 3 * width, transposed: true });
  for (let step = steps - 1; step >= 0; step--) {
    const first = timeOf(step, run, settings) * 3 * width;
    const before = (sample: number): number =>
      step === 0 ? zero : outputs + (step - 1) * width + sample * rows;
    const ofThisStep = (sample: number): number => {
      if (settings.returnSequences) return received + step * width + sample * rows;
      return step === steps - 1 ? received + sample * width : zero;
    };
    const part = (index: number) => ({
      address: gradients + first + index * width,
      step: 3 * rows,
      transposed: false,
    });
    for (let sample = 0; sample < batch; sample++) {
      const [u, du] = [gates + first + sample * 3 * rows, gradients + first + sample * 3 * rows];
      const dhOfSample = dh + sample * width;
      ofOutput(u, u + 2 * width, before(sample), ofThisStep(sample), dhOfSample, du, du + 2 * width, units);
    }
    const toReset = { address: dReset, step: width, isSum: false };
    multiplier.multiply(part(2), columns(2), toReset, { m: batch, k: units, n: units });
    for (let sample = 0; sample < batch; sample++) {
      const r = first + sample * 3 * rows + width;
      const own = sample * width;
      ofReset(gates + r, before(sample), dReset + own, dh + own, gradients + r, units);
    }
    const toBefore = { address: dh, step: width, isSum: true };
    if (step > 0) multiplier.multiply(part(0), columns(0), toBefore, { m: batch, k: 2 * units, n: units });
  }
  multiplier.dispose();
  tf.dispose(buffers);
  return dz;
}

/** R's columns for the gates were multiplied with h, those for the candidate with the reset state. */
function recurrentKernelGradient(
  backend: WasmBackend,
  { batch, steps, units, resets }: Run,
  before: tf.Tensor,
  dz: tf.Tensor,
): tf.Tensor {
  const result = newTensor(backend, [units, 3 * units]);
  const multiplier = new MatrixMultiplier(backend, { m: units, k: batch * steps });
  const width = units * FLOAT_BYTES;
  const multiply = (states: tf.Tensor, first: number, count: number): void => {
    const a = { address: addressOf(backend, states), step: width, transposed: true };
    const b = { address: addressOf(backend, dz) + first * width, step: 3 * width, transposed: false };
    const target = { address: addressOf(backend, result) + first * width, step: 3 * width, isSum: false };
    multiplier.multiply(a, b, target, { m: units, k: batch * steps, n: count * units });
  };
  multiply(before, 0, 2);
  multiply(resets, 2, 1);
  multiplier.dispose();
  return result;
}

const runGru = registerFused<RecurrentSettings>({
  name: 'MillraceHeapGru',
  backend: 'wasm',
  forward({ x, kernel, recurrentKernel, bias }, settings, hide) {
    const backend = wasmBackend(tf.backend());
    const [batch, steps] = x!.shape as [number, number, number];
    const units = recurrentKernel!.shape[0]!;
    return tf.tidy(() => {
      const size = { batch, steps, units };
      const run = {
        ...size,
        gates: tf.keep(project(x!, kernel!, bias, size)),
        resets: tf.keep(newTensor(backend, [batch, steps, units])),
        outputs: tf.keep(newTensor(backend, [batch, steps, units])),
      };
      runForward(backend, run, recurrentKernel!, settings);
      hide([run.gates, run.resets, run.outputs]);
      return settings.returnSequences ? tf.clone(run.outputs) : lastOutputs(backend, run, run.outputs);
    });
  },
  saves: { inputs: ['x', 'kernel', 'recurrentKernel'], output: false },
  gradient([dy], saved, settings) {
    type Known = [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    const [x, kernel, recurrentKernel, gates, resets, outputs] = saved as Known;
    const [batch, steps, units] = outputs.shape as [number, number, number];
    const run = { batch, steps, units, gates, resets, outputs };
    const rows = (tensor: tf.Tensor): tf.Tensor2D => tf.reshape(tensor, [batch * steps, tensor.shape[2]!]);
    const backend = wasmBackend(tf.backend());
    const throughTime = sharing(saved, () => [runBackward(backend, run, recurrentKernel, dy!, settings)]);
    const product = (make: (dz: tf.Tensor2D) => tf.Tensor) => () => {
      const [dz] = throughTime();
      return tf.tidy(() => make(rows(dz!)));
    };
    return {
      x: product(dz => tf.reshape(tf.matMul(dz, kernel as tf.Tensor2D, false, true), x.shape)),
      kernel: product(dz => tf.matMul(rows(x), dz, true)),
      recurrentKernel: product(dz =>
        recurrentKernelGradient(backend, run, outputsBefore(backend, run, outputs, settings), dz),
      ),
      bias: product(dz => tf.sum(dz, 0)),
    };
  },
});

export function gru(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return runGru({ x, ...weights }, settings);
}
