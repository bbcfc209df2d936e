/**
 * _FusedMatMul: the product as in `batch-mat-mul.ts`, on top of the bias, then the activation.
 *
 * The backend's own kernel is right, and kept, for one small plain product; with a transposed operand or more than one
 * matrix it adds the bias once for every 48 of the inner dimension, which is wrong as soon as that exceeds 48.
 */
import { tf } from '../../../tf.js';
import { multiply, type Product, packedProduct } from './batch-mat-mul.js';
import {
  addressOf,
  allocate,
  release,
  routines,
  runKernel,
  runKernelFunction,
  sizeAt,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';
import type { Replacement } from './replace.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

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
  const activation = attrs['activation'] as string;
  const isKnown = activation === 'linear' || ACTIVATION_KERNELS[activation] !== undefined;
  const product = packedProduct(inputs, attrs);
  const hasPlainBias = bias === undefined || bias.shape.length === 1;
  if (!isKnown || (product === undefined && isPlain(a, b, attrs) && hasPlainBias)) {
    return runKernelFunction(backend, original, inputs, attrs);
  }
  const sum =
    product !== undefined && bias !== undefined && hasPlainBias && sizeAt(bias, 0) === product.size.n
      ? productOnBias(backend, product, bias)
      : productAndBias(backend, inputs, attrs);
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

function isPlain(a: TensorInfo, b: TensorInfo, attrs: Record<string, unknown>): boolean {
  const isTransposed = attrs['transposeA'] === true || attrs['transposeB'] === true;
  return !isTransposed && sizeAt(a, 0) === 1 && sizeAt(b, 0) === 1;
}

/** The product added to rows that are the bias: no pass of its own for that. */
function productOnBias(backend: WasmBackend, product: Product, bias: TensorInfo): TensorInfo {
  const sum = allocate(backend, product.shape);
  const { n } = product.size;
  const rows = tf.util.sizeFromShape([...product.shape]) / n;
  routines(backend).copyRows(addressOf(backend, bias), addressOf(backend, sum), rows, n, 0, n * FLOAT_BYTES);
  multiply(backend, product, sum, true);
  return sum;
}

function productAndBias(
  backend: WasmBackend,
  inputs: Record<string, TensorInfo>,
  { transposeA, transposeB }: Record<string, unknown>,
): TensorInfo {
  const { a, b, bias } = inputs as { a: TensorInfo; b: TensorInfo; bias?: TensorInfo };
  const product = runKernel(backend, 'BatchMatMul', { a, b }, { transposeA, transposeB });
  return bias === undefined ? product : then(backend, product, 'Add', { a: product, b: bias });
}

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
