/** How close two results must be to count as equal: sums may be reordered, so bits may differ, and nothing more. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';

/** Bound on ‖actual − reference‖₂ / ‖reference‖₂. Rounding stays near 1e-7 a step; one sample weighted wrongly is above 1e-3. */
export const RELATIVE_TOLERANCE = 1e-5;
/** For tensors that are zero but for rounding, such as a bias that learns nothing. */
export const ABSOLUTE_TOLERANCE = 1e-6;

/** ‖actual − reference‖₂ as a multiple of what is allowed: equal up to 1. NaN on one side alone is infinitely far. */
export function relativeDifference(
  actual: ArrayLike<number>,
  reference: ArrayLike<number>,
  tolerance = RELATIVE_TOLERANCE,
): number {
  if (actual.length !== reference.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < reference.length; index++) {
    if (Number.isNaN(reference[index]) && Number.isNaN(actual[index])) continue;
    difference += (actual[index]! - reference[index]!) ** 2;
    norm += reference[index]! ** 2;
  }
  const ratio = Math.sqrt(difference) / (tolerance * Math.sqrt(norm) + ABSOLUTE_TOLERANCE);
  return Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
}

export function expectClose(
  actual: ArrayLike<number>,
  reference: ArrayLike<number>,
  what: string,
  tolerance = RELATIVE_TOLERANCE,
): void {
  const shown = `${what}: [${Array.from(actual).slice(0, 6)} …] against [${Array.from(reference).slice(0, 6)} …]`;
  expect(relativeDifference(actual, reference, tolerance), shown).toBeLessThanOrEqual(1);
}

/** Compares two lists of tensors by shape, element type and values. They stay the caller's. */
export function expectTensorsClose(
  actual: readonly tf.Tensor[],
  reference: readonly tf.Tensor[],
  what: string,
  tolerance = RELATIVE_TOLERANCE,
): void {
  const form = (tensor: tf.Tensor): string => `${tensor.dtype}[${tensor.shape}]`;
  expect(actual.map(form), what).toEqual(reference.map(form));
  for (const [index, tensor] of reference.entries()) {
    expectClose(actual[index]!.dataSync(), tensor.dataSync(), `${what} ${index}`, tolerance);
  }
}

/** Tensors alive in the calling thread. */
export function tensorCount(): number {
  return tf.memory().numTensors;
}
