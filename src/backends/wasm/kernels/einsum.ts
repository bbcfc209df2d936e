/**
 * Einsum of one or two operands, as one batched matrix product.
 *
 * Every label of `ab,bc->ac` falls into one group: in both operands and the output (batch), in both but not in the
 * output (inner), in one operand and the output (rows or columns), in one operand only (summed at once). So with each
 * operand transposed to its groups, [batch, rows, inner] · [batch, inner, columns], the result needs one last
 * transpose into the order of the output.
 */
import { tf } from '../../../tf.js';
import { release, reshaped, runKernel, type TensorInfo, type WasmBackend } from './heap.js';
import type { Kernel } from './replace.js';

/** A tensor whose axes carry labels; labels are numbers, those of the output first. */
interface Labelled {
  readonly tensor: TensorInfo;
  readonly labels: readonly number[];
}

export const einsum: Kernel = (backend, inputs, attrs) => {
  const operands = Object.keys(inputs)
    .sort((a, b) => Number(a) - Number(b))
    .map(key => inputs[key] as TensorInfo);
  // tfjs's own parser, so that the same equations are accepted and the same errors thrown.
  const { allDims, summedDims, idDims } = tf.backend_util.decodeEinsumEquation(
    attrs['equation'] as string,
    operands.length,
  );
  tf.backend_util.checkEinsumDimSizes(allDims.length, idDims, operands as tf.Tensor[]);
  const output = allDims.map((_, label) => label).filter(label => !summedDims.includes(label));
  const [first, second] = operands.map(
    (tensor, index): Labelled => ({ tensor, labels: idDims[index] as number[] }),
  );

  const others = second?.labels ?? [];
  const left = sumOut(backend, first as Labelled, label => output.includes(label) || others.includes(label));
  if (second === undefined) return finish(backend, left, output);
  const right = sumOut(backend, second, label => output.includes(label) || left.labels.includes(label));
  return finish(backend, contract(backend, left, right, output), output);
};

/** Sums over the labels not to keep. The caller owns the result. */
function sumOut(backend: WasmBackend, operand: Labelled, keep: (label: number) => boolean): Labelled {
  const { tensor, labels } = operand;
  const axis = labels.flatMap((label, index) => (keep(label) ? [] : [index]));
  if (axis.length === 0) return { tensor: reshaped(backend, tensor, tensor.shape), labels };
  return {
    tensor: runKernel(backend, 'Sum', { x: tensor }, { axis, keepDims: false }),
    labels: labels.filter(keep),
  };
}

/** Brings the axes into the order of the output; takes over its operand. */
function finish(backend: WasmBackend, { tensor, labels }: Labelled, output: readonly number[]): TensorInfo {
  const perm = output.map(label => labels.indexOf(label));
  if (perm.every((axis, index) => axis === index)) return tensor;
  const result = runKernel(backend, 'Transpose', { x: tensor }, { perm });
  release(backend, tensor);
  return result;
}

/** The product summed over what is in both operands but not in the output; takes over its operands. */
function contract(
  backend: WasmBackend,
  left: Labelled,
  right: Labelled,
  output: readonly number[],
): Labelled {
  const shared = left.labels.filter(label => right.labels.includes(label));
  const batch = shared.filter(label => output.includes(label));
  const inner = shared.filter(label => !output.includes(label));
  const rows = left.labels.filter(label => !shared.includes(label));
  const columns = right.labels.filter(label => !shared.includes(label));
  const sizeOf = (label: number): number =>
    (left.labels.includes(label)
      ? left.tensor.shape[left.labels.indexOf(label)]
      : right.tensor.shape[right.labels.indexOf(label)]) as number;
  const product = (labels: readonly number[]): number => tf.util.sizeFromShape(labels.map(sizeOf));

  const grouped = (operand: Labelled, order: readonly (readonly number[])[], shape: number[]): TensorInfo => {
    const ordered = finish(backend, operand, order.flat());
    const result = reshaped(backend, ordered, shape);
    release(backend, ordered);
    return result;
  };
  const [b, m, k, n] = [product(batch), product(rows), product(inner), product(columns)];
  const isFloat = left.tensor.dtype === 'float32' && right.tensor.dtype === 'float32';
  let result: TensorInfo;
  if (isFloat) {
    const a3 = grouped(left, [batch, rows, inner], [b, m, k]);
    const b3 = grouped(right, [batch, inner, columns], [b, k, n]);
    result = runKernel(backend, 'BatchMatMul', { a: a3, b: b3 }, { transposeA: false, transposeB: false });
    release(backend, a3, b3);
  } else {
    // The backend has no integer product: multiply with broadcasting, then sum.
    const a4 = grouped(left, [batch, rows, inner], [b, m, 1, k]);
    const b4 = grouped(right, [batch, columns, inner], [b, 1, n, k]);
    const terms = runKernel(backend, 'Multiply', { a: a4, b: b4 });
    result = runKernel(backend, 'Sum', { x: terms }, { axis: [3], keepDims: false });
    release(backend, a4, b4, terms);
  }
  const labels = [...batch, ...rows, ...columns];
  const labelled = reshaped(backend, result, labels.map(sizeOf));
  release(backend, result);
  return { tensor: labelled, labels };
}
