/**
 * What LSTM and GRU kernels share. Sequences stay in the layer's own order, [batch, time, …]; what has a place for every
 * step that was computed, not for its time, is in that order instead, as tfjs's outputs are.
 */
import { tf } from '../../../tf.js';
import type { RecurrentSettings } from '../../fused-operations.js';
import { addressOf, routines, type WasmBackend } from '../kernels/heap.js';
import { newTensor } from '../tensors.js';

export const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

export interface Size {
  readonly batch: number;
  readonly steps: number;
  readonly units: number;
}

export const timeOf = (step: number, { steps }: Size, { goBackwards }: RecurrentSettings): number =>
  goBackwards ? steps - 1 - step : step;

/** x·K + b over all steps, in memory that is written again. */
export function project(
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor | undefined,
  { batch, steps }: Size,
): tf.Tensor {
  const a = tf.reshape(x, [batch * steps, x.shape[2]!]) as tf.Tensor2D;
  const b = kernel as tf.Tensor2D;
  const rows = bias === undefined ? tf.matMul(a, b) : tf.fused.matMul({ a, b, bias });
  return tf.reshape(rows, [batch, steps, kernel.shape[1]!]);
}

export function lastOutputs(
  backend: WasmBackend,
  { batch, steps, units }: Size,
  outputs: tf.Tensor,
): tf.Tensor {
  const last = newTensor(backend, [batch, units]);
  const width = units * FLOAT_BYTES;
  const source = addressOf(backend, outputs) + (steps - 1) * width;
  routines(backend).copyRows(source, addressOf(backend, last), batch, units, steps * width, width);
  return last;
}

/** h before every step, at that step's time. */
export function outputsBefore(
  backend: WasmBackend,
  size: Size,
  outputs: tf.Tensor,
  settings: RecurrentSettings,
): tf.Tensor {
  const { batch, steps, units } = size;
  const before = tf.zeros([batch, steps, units]);
  const width = units * FLOAT_BYTES;
  for (let step = 1; step < steps; step++) {
    const source = addressOf(backend, outputs) + (step - 1) * width;
    const target = addressOf(backend, before) + timeOf(step, size, settings) * width;
    routines(backend).copyRows(source, target, batch, units, steps * width, steps * width);
  }
  return before;
}
