/**
 * Matrix products: one of two ops of TensorFlow, `MatMul` on Eigen's contraction and `BatchMatMulV2` on oneDNN.
 *
 * Where the second operand is transposed, as in gradients of a layer's input, BatchMatMulV2 is the faster one, the more so the
 * fewer the rows: [32, 4096] by [4096, 4096] in 7.3 ms against 10.4, [64, 512] by [512, 512] in 0.16 against 0.18. Otherwise MatMul is,
 * 6.1 ms against 10.3 and 0.14 against 0.16.
 *
 * MatMul's kernel does not bear a signal: when V8's sampling profiler interrupts it, the heap is destroyed and the process
 * aborts within a second, on every thread and with oneDNN off too (libtensorflow 2.15). Under a profiler BatchMatMulV2 does
 * everything.
 */
import type * as tf from '@tensorflow/tfjs';
import { rawOps } from '../raw-ops.js';

/** Node takes underscores for hyphens, and quotes in `NODE_OPTIONS`. */
const PROFILER_FLAGS = /(^|[\s"])--(cpu[-_]prof|prof|inspect)/;

let answer: boolean | undefined;

/** Whether Node was started with a sampling profiler, or with the inspector, which has one. One that starts later is not known. */
function mayBeProfiled(): boolean {
  answer ??= PROFILER_FLAGS.test([...process.execArgv, process.env['NODE_OPTIONS']].join(' '));
  return answer;
}

/** Whether `MatMul` may be used. */
export function bearsMatMul(): boolean {
  return !mayBeProfiled();
}

export function matMul(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  const raw = rawOps();
  if (transposeB || !bearsMatMul()) {
    const transposes = [raw.bool('adj_x', transposeA), raw.bool('adj_y', transposeB)];
    return raw.one('BatchMatMulV2', [...raw.float, ...transposes], a, b);
  }
  const transposes = [raw.bool('transpose_a', transposeA), raw.bool('transpose_b', false)];
  return raw.one('MatMul', [...raw.float, ...transposes], a, b);
}
