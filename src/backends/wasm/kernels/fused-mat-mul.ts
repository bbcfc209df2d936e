/**
 * _FusedMatMul with transposed operands or several matrices: the product by BatchMatMul, then bias and activation.
 *
 * The backend's own kernel is right, and fast, for one plain product; with a transposed operand or more than one
 * matrix it adds the bias once for every 48 of the inner dimension, which is wrong as soon as that exceeds 48.
 */
import { release, runKernel, runKernelFunction, sizeAt, type TensorInfo, type WasmBackend } from './heap.js';
import type { Replacement } from './replace.js';

/** The kernel that computes each activation which `tf.fused.matMul` knows. */
const ACTIVATION_KERNELS: Readonly<Record<string, string>> = {
  relu: 'Relu',
  relu6: 'Relu6',
  elu: 'Elu',
  sigmoid: 'Sigmoid',
  prelu: 'Prelu',
  leakyrelu: 'LeakyRelu',
};

export const fusedMatMulReplacement: Replacement = original => (backend, inputs, attrs) => {
  const a = inputs['a'] as TensorInfo;
  const b = inputs['b'] as TensorInfo;
  const bias = inputs['bias'] as TensorInfo | undefined;
  const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
  const activation = attrs['activation'] as string;
  const isPlain = !transposeA && !transposeB && sizeAt(a, 0) === 1 && sizeAt(b, 0) === 1;
  const hasPlainBias = bias === undefined || bias.shape.length === 1;
  const isKnown = activation === 'linear' || ACTIVATION_KERNELS[activation] !== undefined;
  if ((isPlain && hasPlainBias) || !isKnown) return runKernelFunction(backend, original, inputs, attrs);

  const product = runKernel(backend, 'BatchMatMul', { a, b }, { transposeA, transposeB });
  const sum = bias === undefined ? product : then(backend, product, 'Add', { a: product, b: bias });
  switch (activation) {
    case 'linear':
      return sum;
    case 'prelu':
      return then(backend, sum, 'Prelu', { x: sum, alpha: inputs['preluActivationWeights'] as TensorInfo });
    case 'leakyrelu':
      return then(backend, sum, 'LeakyRelu', { x: sum }, { alpha: attrs['leakyreluAlpha'] });
    default:
      return then(backend, sum, ACTIVATION_KERNELS[activation] as string, { x: sum });
  }
};

/** Runs the next kernel of a chain and releases what it consumed. */
function then(
  backend: WasmBackend,
  consumed: TensorInfo,
  kernelName: string,
  inputs: Record<string, TensorInfo>,
  attrs: object = {},
): TensorInfo {
  const result = runKernel(backend, kernelName, inputs, attrs);
  release(backend, consumed);
  return result;
}
