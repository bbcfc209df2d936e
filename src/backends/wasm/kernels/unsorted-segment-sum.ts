/**
 * UnsortedSegmentSum: the gradient of `tf.gather`, so of embeddings. `output[s]` is the sum of the rows of `x` whose
 * segment id is `s`; other ids are dropped, as on the other backends.
 *
 * One pass over `x`, whatever the number of segments. (The cpu backend makes a masked pass over all of `x` for every
 * segment: for an embedding of 10,000 words that is 10,000 passes.)
 */
import { tf } from '../../../tf.js';
import {
  addressOf,
  allocate,
  floats,
  release,
  routines,
  runKernel,
  sizeAt,
  type TensorInfo,
} from './heap.js';
import type { Kernel } from './replace.js';

export const unsortedSegmentSum: Kernel = (backend, inputs, attrs) => {
  const segmentIds = inputs['segmentIds'] as TensorInfo;
  const segments = attrs['numSegments'] as number;
  const x = inputs['x'] as TensorInfo;
  const rowShape = x.shape.slice(1);
  const shape = [segments, ...rowShape];

  // The routine adds float32; integers go through it (exact up to 2²⁴) and back.
  const isFloat = x.dtype === 'float32';
  const rows = isFloat ? x : runKernel(backend, 'Cast', { x }, { dtype: 'float32' });
  const sums = allocate(backend, shape);
  floats(backend, sums).fill(0);
  routines(backend).segmentSum(
    addressOf(backend, rows),
    addressOf(backend, segmentIds),
    addressOf(backend, sums),
    sizeAt(x, 0),
    tf.util.sizeFromShape(rowShape),
    segments,
  );
  if (isFloat) return sums;
  const result = runKernel(backend, 'Cast', { x: sums }, { dtype: x.dtype });
  release(backend, rows, sums);
  return result;
};
