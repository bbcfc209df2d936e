/** Slices run by run within the heap. The backend's own kernel copies all of its input out of the heap first, however small the slice. */
import { tf } from '../../../tf.js';
import { addressOf, allocate, heapWords, runKernelFunction, type TensorInfo } from './heap.js';
import type { Replacement } from './replace.js';

export const sliceReplacement: Replacement = original => (backend, inputs, attrs) => {
  const x = inputs['x'] as TensorInfo;
  // Other types are no words, or not on the heap.
  if (x.dtype !== 'float32' && x.dtype !== 'int32')
    return runKernelFunction(backend, original, inputs, attrs);
  const { begin: first, size: wanted } = attrs as { begin: number[]; size: number[] };
  const params = tf.slice_util.parseSliceParams(x as tf.Tensor, first, wanted);
  const [begin, size] = params as [begin: number[], size: number[]];
  const out = allocate(backend, size, x.dtype);
  if (size.includes(0)) return out;
  const heap = heapWords(backend);
  const [source, target] = [x, out].map(tensor => addressOf(backend, tensor) / heap.BYTES_PER_ELEMENT);
  const { outer, run } = runsOf(x.shape, size);
  const strides = tf.util.computeStrides(x.shape);
  let next = target!;
  const copy = (axis: number, from: number): void => {
    if (axis === outer) {
      heap.copyWithin(next, from, from + run);
      next += run;
      return;
    }
    for (let index = 0; index < size[axis]!; index++) copy(axis + 1, from + index * strides[axis]!);
  };
  copy(0, source! + tf.slice_util.computeFlatOffset(begin, strides));
  return out;
};

/** Elements that lie together in input and output alike, and the axes that lead from one such run to the next. */
function runsOf(
  shape: readonly number[],
  size: readonly number[],
): { readonly outer: number; readonly run: number } {
  let outer = shape.length;
  let run = 1;
  while (outer > 0 && size[outer - 1] === shape[outer - 1]) run *= size[--outer]!;
  if (outer > 0) run *= size[--outer]!;
  return { outer, run };
}
