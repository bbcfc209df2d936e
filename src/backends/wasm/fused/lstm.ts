/**
 * A whole LSTM layer (Hochreiter & Schmidhuber 1997; gates as in tfjs) as one kernel. tfjs records about 25 operations a step,
 * most of them slices, concatenations and passes over one gate.
 *
 *     z = x·K + h·R + b      i, f, g, o = σ(z₀), σ(z₁), φ(z₂), σ(z₃)      c′ = f·c + i·g      h′ = o·φ(c′)
 *
 * All sequences stay in the layer's own order, [batch, time, …], and are read and written where they lie: the input's part
 * of z is one product over all steps, a step adds its h·R to every `time`-th row, and one routine a sample makes gates,
 * state and output of a row. The gradient goes back through time once, for B, and leaves dz of every step; the gradients
 * of K, R and b are products of it over all steps, and so are W's alone.
 */
import { tf } from '../../../tf.js';
import type { RecurrentSettings, RecurrentWeights } from '../../fused-operations.js';
import { registerFused, sharing } from '../../register-fused.js';
import { addressOf, passRoutine, type WasmBackend, wasmBackend } from '../kernels/heap.js';
import { MatrixMultiplier } from '../kernels/mat-mul.js';
import { lstmCell } from '../kernels/simd/lstm-cell.js';
import { newTensor } from '../tensors.js';
import { FLOAT_BYTES, lastOutputs, outputsBefore, project, type Size, timeOf } from './recurrent.js';

/** What the gradient reads. Gates lie at their time, states and outputs at the step that computed them. */
interface Run extends Size {
  /** [batch, time, 4 × units] after activation. */
  readonly gates: tf.Tensor;
  /** [batch, step, units]: c and h. */
  readonly states: tf.Tensor;
  readonly outputs: tf.Tensor;
}

/** Goes through time; `gates` holds the input's part of z. */
function runForward(
  backend: WasmBackend,
  run: Run,
  recurrentKernel: tf.Tensor,
  settings: RecurrentSettings,
): void {
  const { batch, steps, units } = run;
  const zeros = tf.zeros([units]);
  const multiplier = new MatrixMultiplier(backend, { m: batch, k: units });
  const cell = passRoutine(backend, lstmCell(settings.gate, settings.activation).forward);
  const [gates, states, outputs, kernel, zero] = [
    run.gates,
    run.states,
    run.outputs,
    recurrentKernel,
    zeros,
  ].map(tensor => addressOf(backend, tensor)) as [number, number, number, number, number];
  const width = units * FLOAT_BYTES;
  const r = { address: kernel, step: 4 * width, transposed: false };
  for (let step = 0; step < steps; step++) {
    const firstGates = gates + timeOf(step, run, settings) * 4 * width;
    if (step > 0) {
      const before = { address: outputs + (step - 1) * width, step: steps * width, transposed: false };
      const z = { address: firstGates, step: steps * 4 * width, isSum: true };
      multiplier.multiply(before, r, z, { m: batch, k: units, n: 4 * units });
    }
    for (let sample = 0; sample < batch; sample++) {
      const i = firstGates + sample * steps * 4 * width;
      const offset = (sample * steps + step) * width;
      const before = step === 0 ? zero : states + offset - width;
      cell(i, i + width, i + 2 * width, i + 3 * width, before, states + offset, outputs + offset, units);
    }
  }
  multiplier.dispose();
  zeros.dispose();
}

/** dz of all steps, as [batch, time, 4 × units]. */
function runBackward(
  backend: WasmBackend,
  run: Run,
  recurrentKernel: tf.Tensor,
  dy: tf.Tensor,
  settings: RecurrentSettings,
): tf.Tensor {
  const { batch, steps, units } = run;
  const dz = newTensor(backend, [batch, steps, 4 * units]);
  const [zeros, dhNext, dcNext] = [tf.zeros([units]), tf.zeros([batch, units]), tf.zeros([batch, units])];
  const multiplier = new MatrixMultiplier(backend, { m: batch, k: 4 * units });
  const cell = passRoutine(backend, lstmCell(settings.gate, settings.activation).backward);
  const at = (tensor: tf.Tensor): number => addressOf(backend, tensor);
  const [gates, states, received, gradients] = [at(run.gates), at(run.states), at(dy), at(dz)];
  const [zero, dh, dc] = [at(zeros), at(dhNext), at(dcNext)];
  const width = units * FLOAT_BYTES;
  const r = { address: at(recurrentKernel), step: 4 * width, transposed: true };
  for (let step = steps - 1; step >= 0; step--) {
    const first = timeOf(step, run, settings) * 4 * width;
    for (let sample = 0; sample < batch; sample++) {
      const i = first + sample * steps * 4 * width;
      const state = states + (sample * steps + step) * width;
      const ofLast = step === steps - 1 ? received + sample * width : zero;
      const ofOutput = settings.returnSequences ? received + (sample * steps + step) * width : ofLast;
      cell(
        ...[0, 1, 2, 3].map(gate => gates + i + gate * width),
        step === 0 ? zero : state - width,
        state,
        ofOutput,
        dh + sample * width,
        dc + sample * width,
        ...[0, 1, 2, 3].map(gate => gradients + i + gate * width),
        units,
      );
    }
    if (step > 0) {
      const dzStep = { address: gradients + first, step: steps * 4 * width, transposed: false };
      const before = { address: dh, step: width, isSum: false };
      multiplier.multiply(dzStep, r, before, { m: batch, k: 4 * units, n: units });
    }
  }
  multiplier.dispose();
  tf.dispose([zeros, dhNext, dcNext]);
  return dz;
}

const runLstm = registerFused<RecurrentSettings>({
  name: 'MillraceHeapLstm',
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
        states: tf.keep(newTensor(backend, [batch, steps, units])),
        outputs: tf.keep(newTensor(backend, [batch, steps, units])),
      };
      runForward(backend, run, recurrentKernel!, settings);
      hide([run.gates, run.states, run.outputs]);
      return settings.returnSequences ? tf.clone(run.outputs) : lastOutputs(backend, run, run.outputs);
    });
  },
  saves: { inputs: ['x', 'kernel', 'recurrentKernel'], output: false },
  gradient([dy], saved, settings) {
    const [x, kernel, recurrentKernel, gates, states, outputs] = saved as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
    const [batch, steps, units] = states.shape as [number, number, number];
    const run = { batch, steps, units, gates, states, outputs };
    const rows = (tensor: tf.Tensor): tf.Tensor2D => tf.reshape(tensor, [batch * steps, tensor.shape[2]!]);
    const throughTime = sharing(saved, () => [
      runBackward(wasmBackend(tf.backend()), run, recurrentKernel, dy!, settings),
    ]);
    const product = (make: (dz: tf.Tensor2D) => tf.Tensor) => () => {
      const [dz] = throughTime();
      return tf.tidy(() => make(rows(dz!)));
    };
    return {
      x: product(dz => tf.reshape(tf.matMul(dz, kernel as tf.Tensor2D, false, true), x.shape)),
      kernel: product(dz => tf.matMul(rows(x), dz, true)),
      recurrentKernel: product(dz => {
        const before = outputsBefore(wasmBackend(tf.backend()), run, outputs, settings);
        return tf.matMul(rows(before), dz, true);
      }),
      bias: product(dz => tf.sum(dz, 0)),
    };
  },
});

export function lstm(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return runLstm({ x, ...weights }, settings);
}
