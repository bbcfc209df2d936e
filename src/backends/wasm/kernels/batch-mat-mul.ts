/**
 * BatchMatMul, from the size on where packing pays: see `mat-mul.ts`.
 *
 * The backend's own kernel hands a product to XNNPACK only if nothing is transposed and there is one matrix; all else
 * runs in a scalar loop. Milliseconds, best of 200 in turn, one thread, the right operand new each time as in training; XNNPACK
 * (with transposes before and after) → this:
 *
 * | product | | product | |
 * |---|---|---|---|
 * | 128×784 · (512×784)ᵀ | 3.8 → 2.8 | 8×512 · 512×512 | 0.95 → 0.22 |
 * | (128×784)ᵀ · 128×512 | 4.1 → 2.8 | 128×512 · 512×10 | 0.096 → 0.078 |
 * | (4096×128)ᵀ · 4096×512 | 34 → 18 | 32×32 · 32×32 | 0.018 → 0.011 |
 */
import { tf } from '../../../tf.js';
import { addressOf, allocate, runKernelFunction, sizeAt, type TensorInfo, type WasmBackend } from './heap.js';
import { MatrixMultiplier, type ProductSize, type StoredMatrix } from './mat-mul.js';
import type { Replacement } from './replace.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;
/** Below this many multiplications a matrix the backend's own loops cost less than packing. */
const OWN_LIMIT = 12_000;

/**
 * With fewer rows or columns most of a tile is empty; and for the single sample of a prediction, XNNPACK holds the weights
 * packed.
 */
const FEW = 4;

/** One or several matrices of the same size. */
interface Operand {
  readonly tensor: TensorInfo;
  readonly count: number;
  /** Whether the matrices are stored the other way round. */
  readonly transposed: boolean;
}

/** Pairs of matrices to multiply; a side with one matrix serves all of them. */
export interface Product {
  readonly a: Operand;
  readonly b: Operand;
  /** Of each pair. */
  readonly size: ProductSize;
  readonly shape: readonly number[];
}

export const batchMatMulReplacement: Replacement = original => (backend, inputs, attrs) => {
  const product = packedProduct(inputs, attrs);
  if (product === undefined) return runKernelFunction(backend, original, inputs, attrs);
  const result = allocate(backend, product.shape);
  multiply(backend, product, result, false);
  return result;
};

/** The product that a kernel's inputs `a` and `b` ask for; `undefined` where the backend's own kernel does better. */
export function packedProduct(
  inputs: Record<string, TensorInfo>,
  attrs: Record<string, unknown>,
): Product | undefined {
  const a = operand(inputs['a'] as TensorInfo, attrs['transposeA'] === true);
  const b = operand(inputs['b'] as TensorInfo, attrs['transposeB'] === true);
  if (a.tensor.dtype !== 'float32' || b.tensor.dtype !== 'float32') return undefined;
  const [m, k] = dimensions(a);
  const [innerOfB, n] = dimensions(b);
  const batchShape = tf.broadcast_util.assertAndGetBroadcastShape(
    a.tensor.shape.slice(0, -2),
    b.tensor.shape.slice(0, -2),
  );
  const count = tf.util.sizeFromShape(batchShape);
  const isPlain = count === 1 && !a.transposed && !b.transposed;
  const isPairwise = [1, count].includes(a.count) && [1, count].includes(b.count);
  const isSmall = m * k * n <= OWN_LIMIT || (isPlain && Math.min(m, n) < FEW);
  if (!isPairwise || k !== innerOfB || isSmall) return undefined;
  return { a, b, size: { m, k, n }, shape: [...batchShape, m, n] };
}

function operand(tensor: TensorInfo, transposed: boolean): Operand {
  return { tensor, transposed, count: tf.util.sizeFromShape(tensor.shape.slice(0, -2)) };
}

/** Rows and columns of an operand's matrices, after its transposition. */
function dimensions({ tensor, transposed }: Operand): [number, number] {
  const rows = sizeAt(tensor, tensor.shape.length - 2);
  const columns = sizeAt(tensor, tensor.shape.length - 1);
  return transposed ? [columns, rows] : [rows, columns];
}

/** @param isSum adds to what `result` holds already */
export function multiply(
  backend: WasmBackend,
  { a, b, size: { m, k, n } }: Product,
  result: TensorInfo,
  isSum: boolean,
): void {
  const count = Math.max(a.count, b.count);
  // One right matrix for all: the left matrices, one under the other, are a single tall one.
  const isTall = count > 1 && b.count === 1 && !a.transposed;
  const size = isTall ? { m: count * m, k, n } : { m, k, n };
  const multiplier = new MatrixMultiplier(backend, size);
  const step = n * FLOAT_BYTES;
  for (let index = 0; index < (isTall ? 1 : count); index++) {
    const address = addressOf(backend, result) + index * m * step;
    multiplier.multiply(matrix(backend, a, index), matrix(backend, b, index), { address, step, isSum }, size);
  }
  multiplier.dispose();
}

function matrix(backend: WasmBackend, { tensor, count, transposed }: Operand, index: number): StoredMatrix {
  const step = sizeAt(tensor, tensor.shape.length - 1) * FLOAT_BYTES;
  const bytes = step * sizeAt(tensor, tensor.shape.length - 2);
  return { address: addressOf(backend, tensor) + (count === 1 ? 0 : index * bytes), step, transposed };
}
