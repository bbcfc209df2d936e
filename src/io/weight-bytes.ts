/** How many bytes the weights of a manifest take. */
import type * as tf from '@tensorflow/tfjs';

const BYTES_PER_ELEMENT: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  complex64: 8,
  bool: 1,
  float16: 2,
  uint16: 2,
  uint8: 1,
};

/**
 * Bytes of these weights in a weight file, quantization counted; `undefined` when a weight's size is not given by its shape,
 * as with strings, or its type is unknown.
 */
export function weightBytes(specs: readonly tf.io.WeightsManifestEntry[]): number | undefined {
  let total = 0;
  for (const { shape, dtype, quantization } of specs) {
    const elementBytes = BYTES_PER_ELEMENT[quantization?.dtype ?? dtype];
    if (elementBytes === undefined) return undefined;
    total += shape.reduce((size, axis) => size * axis, elementBytes);
  }
  return total;
}
