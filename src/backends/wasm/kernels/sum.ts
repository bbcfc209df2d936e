/**
 * Sum over leading axes, which every bias gradient is, by adding rows. The backend's own kernel transposes first, then
 * adds up columns, one number at a time: 1.18 M numbers in 64 columns take 9 ms there, 0.2 here.
 */
import { tf } from '../../../tf.js';
import { addressOf, allocate, floats, routines, runKernelFunction, type TensorInfo } from './heap.js';
import type { Replacement } from './replace.js';

/** Rows added up in registers before their sum joins the total. */
const BLOCK_ROWS = 256;

export const sumReplacement: Replacement = original => (backend, inputs, attrs) => {
  const x = inputs['x'] as TensorInfo;
  const axes = tf.util.parseAxisParam(attrs['axis'] as number | number[], x.shape).sort((a, b) => a - b);
  const isLeading = axes.length < x.shape.length && axes.every((axis, index) => axis === index);
  if (x.dtype !== 'float32' || !isLeading || axes.length === 0) {
    return runKernelFunction(backend, original, inputs, attrs);
  }
  const rowShape = x.shape.slice(axes.length);
  const rows = tf.util.sizeFromShape(x.shape.slice(0, axes.length));
  const columns = tf.util.sizeFromShape(rowShape);
  const total = allocate(
    backend,
    attrs['keepDims'] === true ? [...axes.map(() => 1), ...rowShape] : rowShape,
  );
  floats(backend, total).fill(0);

  const { addRows } = routines(backend);
  const rowBytes = columns * Float32Array.BYTES_PER_ELEMENT;
  for (let row = 0; row < rows; row += BLOCK_ROWS) {
    const source = addressOf(backend, x) + row * rowBytes;
    addRows(source, addressOf(backend, total), Math.min(BLOCK_ROWS, rows - row), columns);
  }
  return total;
};
