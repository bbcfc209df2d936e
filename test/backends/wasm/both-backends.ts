/** Runs the same computation on tfjs's cpu backend (the oracle) and on wasm with Millrace's kernels, and compares. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { expect } from 'vitest';
import { registerWasmTrainingKernels } from '#internal/backends/wasm/kernels/index.js';

/**
 * Bound on ‖wasm − cpu‖₂ / ‖cpu‖₂. The two add float32 numbers in another order (cpu partly in float64); the sums here have up
 * to some thousand terms, so rounding stays near 1e-6. One wrong term in a thousand would be 1e-3.
 */
export const RELATIVE_ERROR = 1e-5;
/** For results that are zero but for rounding. */
export const ABSOLUTE_ERROR = 1e-6;
/** The same bound by what was added up, which is larger than the sum where summands cancel: some sixteen roundings. */
const SUM_ERROR = 1e-6;

export interface Result {
  readonly shape: number[];
  readonly dtype: string;
  readonly values: number[];
}

/** Makes a backend current; wasm with the kernels. */
export async function use(backend: 'cpu' | 'wasm'): Promise<void> {
  registerWasmTrainingKernels();
  await tf.setBackend(backend);
}

/** What `compute` returns on a backend, as plain numbers. Everything it makes is disposed. */
export async function resultsOn(backend: 'cpu' | 'wasm', compute: () => tf.Tensor[]): Promise<Result[]> {
  await use(backend);
  const tensors = tf.tidy(compute);
  const results = tensors.map(tensor => ({
    shape: tensor.shape,
    dtype: tensor.dtype,
    values: Array.from(tensor.dataSync()),
  }));
  tf.dispose(tensors);
  return results;
}

/** Reproducible numbers in [-1, 1), or their sizes. */
export type Numbers = typeof values;

/**
 * As `expectSame`, for results that are sums of products: one of hundreds of summands may be as good as zero, but not its rounding.
 *
 * @param compute on the numbers that it is given
 */
export async function expectSameSums(compute: (numbers: Numbers) => tf.Tensor[]): Promise<void> {
  const sizes: Numbers = (shape, seed) => tf.abs(values(shape, seed));
  const summed = await resultsOn('cpu', () => compute(sizes));
  await expectSame(
    () => compute(values),
    SUM_ERROR,
    summed.map(({ values: sums }) => sums),
  );
}

/**
 * Fails unless both backends agree on shapes, element types and values, and wasm disposes what it makes.
 *
 * @param scales see `expectClose`; by default the values themselves
 */
export async function expectSame(
  compute: () => tf.Tensor[],
  relativeError = RELATIVE_ERROR,
  scales?: readonly (readonly number[])[],
): Promise<void> {
  const expected = await resultsOn('cpu', compute);
  await use('wasm');
  const before = allocations();
  const actual = await resultsOn('wasm', compute);
  expect(allocations()).toEqual(before);
  expect(actual.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(
    expected.map(({ shape, dtype }) => ({ shape, dtype })),
  );
  for (const [index, { values }] of expected.entries()) {
    expectClose(actual[index]?.values ?? [], values, relativeError, '', scales?.[index] ?? values);
  }
}

/** Fails unless ‖actual − expected‖₂ ≤ relativeError · ‖scale‖₂, where `scale` is what the numbers were added up from. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relativeError: number,
  what = '',
  scale: ArrayLike<number> = expected,
): void {
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < expected.length; index++) {
    difference += ((actual[index] ?? Number.NaN) - (expected[index] ?? 0)) ** 2;
    norm += (scale[index] ?? 0) ** 2;
  }
  const limit = relativeError * Math.sqrt(norm) + ABSOLUTE_ERROR;
  expect(Math.sqrt(difference), `${what} distance to cpu (norm ${Math.sqrt(norm)})`).toBeLessThanOrEqual(
    limit,
  );
}

/** Tensors that the engine knows and data that the current backend holds. */
export function allocations(): { tensors: number; data: number } {
  return { tensors: tf.memory().numTensors, data: tf.engine().backend.numDataIds() };
}

/** Bytes of the WebAssembly heap. */
export function heapBytes(): number {
  return (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm.HEAPU8.byteLength;
}

/** Reproducible numbers in [-1, 1). */
export function values(shape: readonly number[], seed = 1): tf.Tensor {
  return tf.randomUniform([...shape], -1, 1, 'float32', seed);
}
