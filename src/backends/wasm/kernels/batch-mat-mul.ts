/**
 * BatchMatMul with transposed operands or several matrices, made of what XNNPACK is fast at: one product of two plain
 * matrices.
 *
 * The backend's own kernel hands a product to XNNPACK only if nothing is transposed and there is one matrix; all else
 * runs in a scalar loop. Every dense layer's backward pass has two transposed products, attention has batches. Median
 * milliseconds, one thread, the backend's kernel → this:
 *
 * | product | | training step, SGD | |
 * |---|---|---|---|
 * | 128×784 · (512×784)ᵀ | 28.5 → 2.7 | MLP 784-512-512-10, batch 128 | 163 → 14.5 (11 times as fast) |
 * | (784×128)ᵀ · 784×512 | 59.6 → 2.4 | LSTM(64), 16 steps, batch 64 | 100 → 27 (3.7 times) |
 * | 32 of 64×64 · (64×64)ᵀ | 4.9 → 0.9 | | |
 * | 32×32 · (32×32)ᵀ | 0.027 → 0.021 | | |
 */
import * as tf from '@tensorflow/tfjs';
import {
  aliasOf,
  allocate,
  endAlias,
  floatOffset,
  heapFloats,
  release,
  reshaped,
  runKernelFunction,
  sizeAt,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';
import type { Replacement } from './replace.js';
import { transposeMatrices } from './transpose.js';

/**
 * Below this many multiplications a matrix the scalar loop (about 0.8 ns each) costs less than the calls that avoid it
 * (about 10 µs).
 */
const SCALAR_LOOP_LIMIT = 12_000;

/** `count` products of m × k by k × n; a side with one matrix serves all of them. */
interface Problem {
  readonly count: number;
  readonly a: Operand;
  readonly b: Operand;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

interface Operand {
  readonly tensor: TensorInfo;
  readonly count: number;
  /** Whether the matrices are stored the other way round. */
  readonly transposed: boolean;
}

export const batchMatMulReplacement: Replacement = original => (backend, inputs, attrs) => {
  const a = operand(inputs['a'] as TensorInfo, attrs['transposeA'] === true);
  const b = operand(inputs['b'] as TensorInfo, attrs['transposeB'] === true);
  const own = (): TensorInfo => runKernelFunction(backend, original, inputs, attrs);
  if (a.tensor.dtype !== 'float32' || b.tensor.dtype !== 'float32') return own();

  const [m, k] = dimensions(a);
  const [innerOfB, n] = dimensions(b);
  const batchShape = tf.broadcast_util.assertAndGetBroadcastShape(
    a.tensor.shape.slice(0, -2),
    b.tensor.shape.slice(0, -2),
  );
  const count = tf.util.sizeFromShape(batchShape);
  const isPlain = count === 1 && !a.transposed && !b.transposed;
  const isPairwise = [1, count].includes(a.count) && [1, count].includes(b.count);
  if (isPlain || !isPairwise || k !== innerOfB || m * k * n <= SCALAR_LOOP_LIMIT) return own();

  // One right matrix for all: the left matrices, one under the other, are a single tall one.
  const isTall = count > 1 && b.count === 1 && !a.transposed;
  const problem = isTall ? { count: 1, a, b, m: count * m, k, n } : { count, a, b, m, k, n };
  const flat = multiply(backend, original, problem);
  const result = reshaped(backend, flat, [...batchShape, m, n]);
  release(backend, flat);
  return result;
};

function operand(tensor: TensorInfo, transposed: boolean): Operand {
  return { tensor, transposed, count: tf.util.sizeFromShape(tensor.shape.slice(0, -2)) };
}

/** Rows and columns of an operand's matrices, after its transposition. */
function dimensions({ tensor, transposed }: Operand): [number, number] {
  const rows = sizeAt(tensor, tensor.shape.length - 2);
  const columns = sizeAt(tensor, tensor.shape.length - 1);
  return transposed ? [columns, rows] : [rows, columns];
}

/**
 * Either A·B with the operands turned as needed, or (Bᵀ·Aᵀ)ᵀ: whichever moves fewer numbers. What is moved are the
 * operands to turn, the result if it has to be turned back, and the right operand, which XNNPACK packs.
 */
function multiply(backend: WasmBackend, original: tf.KernelFunc, problem: Problem): TensorInfo {
  const { a, b, count, m, k, n } = problem;
  const straightMoves = (a.transposed ? m * k : 0) + (b.transposed ? k * n : 0) + k * n;
  const mirroredMoves = (a.transposed ? 0 : m * k) + (b.transposed ? 0 : k * n) + m * n + m * k;
  if (straightMoves <= mirroredMoves) return multiplyTurned(backend, original, problem);

  const mirror = (side: Operand): Operand => ({ ...side, transposed: !side.transposed });
  const mirrored = multiplyTurned(backend, original, { count, a: mirror(b), b: mirror(a), m: n, k, n: m });
  const result = transposeMatrices(backend, mirrored, [count, n, m], [count, m, n]);
  release(backend, mirrored);
  return result;
}

/** A·B as [count, m, n], after storing both operands the right way round. */
function multiplyTurned(backend: WasmBackend, original: tf.KernelFunc, problem: Problem): TensorInfo {
  const { count, m, k, n } = problem;
  const a = stored(backend, problem.a, m, k);
  const b = stored(backend, problem.b, k, n);
  const product = (left: TensorInfo, right: TensorInfo): TensorInfo =>
    runKernelFunction(backend, original, { a: left, b: right }, { transposeA: false, transposeB: false });

  let result: TensorInfo;
  if (count === 1) {
    result = product(a, b);
  } else {
    result = allocate(backend, [count, m, n]);
    for (let index = 0; index < count; index++) {
      const left = aliasOf(backend, a, problem.a.count === 1 ? 0 : index * m * k, [1, m, k]);
      const right = aliasOf(backend, b, problem.b.count === 1 ? 0 : index * k * n, [1, k, n]);
      const one = product(left, right);
      const from = floatOffset(backend, one);
      heapFloats(backend).copyWithin(floatOffset(backend, result) + index * m * n, from, from + m * n);
      release(backend, one);
      endAlias(backend, left);
      endAlias(backend, right);
    }
  }
  release(backend, a, b);
  return result;
}

/** An operand's matrices as rows × columns in that order of storage; the caller owns the result. */
function stored(
  backend: WasmBackend,
  { tensor, transposed }: Operand,
  rows: number,
  columns: number,
): TensorInfo {
  // Not always as many as in the tensor: those of a tall operand lie under one another in one.
  const matrices = tf.util.sizeFromShape(tensor.shape) / (rows * columns);
  const shape = [matrices, rows, columns];
  // A row and a column are stored alike.
  if (!transposed || rows === 1 || columns === 1) return reshaped(backend, tensor, shape);
  return transposeMatrices(backend, tensor, [matrices, columns, rows], shape);
}
