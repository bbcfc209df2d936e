/**
 * Weight gradients that are products over samples, such as xᵀ·dz of a dense layer: those of several micro-batches, or of several
 * replicas, are one product over all their samples. A kernel marks the thunk of such a gradient; whoever holds several of them
 * may combine them.
 */
import { tf } from '../tf.js';

/**
 * Where a thunk is marked. A property of its own, not an entry of a WeakMap: V8's scavenger takes the values of an old WeakMap for alive
 * whatever became of their keys, so that what a step has made would survive it until the next major collection.
 */
const PRODUCT = Symbol('sample product');

interface Thunk {
  (): tf.Tensor;
  [PRODUCT]?: SampleProduct;
}

/** Matrices with a row for each sample; the gradient is leftᵀ · right. */
export type Factors = readonly [left: tf.Tensor, right: tf.Tensor];

export interface SampleProduct {
  /** Elements of both factors together: what joining them costs. */
  readonly factorSize: number;
  /** Made in the caller's scope. */
  readonly factors: () => Factors;
  readonly computation: FactorComputation;
}

/** What is done with factors, of any number of samples. It knows nothing but what it is given. */
export interface FactorComputation {
  /** The gradient. */
  product(left: tf.Tensor, right: tf.Tensor): tf.Tensor;
  /** Tensors one below the other, at least two. */
  join(parts: readonly tf.Tensor[]): tf.Tensor;
}

/** By tfjs's own operations: leftᵀ · right, of matrices with a row for each sample. */
export const PLAIN_FACTORS: FactorComputation = {
  product: (left, right) => tf.matMul(left as tf.Tensor2D, right as tf.Tensor2D, true),
  join: parts => tf.concat([...parts]),
};

/** The thunk of a gradient, marked as a product over samples. */
export function sampleProduct(parts: SampleProduct): Thunk {
  const thunk: Thunk = () => tf.tidy(() => parts.computation.product(...parts.factors()));
  thunk[PRODUCT] = parts;
  return thunk;
}

/** What a thunk was marked as, if it was. */
export function sampleProductOf(thunk: Thunk): SampleProduct | undefined {
  return thunk[PRODUCT];
}

/** The factors of all samples, in the caller's scope. Those of one part alone are what they are. */
export function joinFactors({ join }: FactorComputation, parts: readonly Factors[]): Factors {
  const [first, ...others] = parts as readonly [Factors, ...Factors[]];
  if (others.length === 0) return first;
  return [join(parts.map(([left]) => left)), join(parts.map(([, right]) => right))];
}

/** Makes the factors of all samples, in the caller's scope. */
export function makeFactors(parts: readonly SampleProduct[]): Factors {
  const made = parts.map(({ factors }) => factors());
  return joinFactors(parts[0]!.computation, made);
}

/** The sum of what the thunks give, as one product. */
export function joinProducts(parts: readonly SampleProduct[]): tf.Tensor {
  return tf.tidy(() => parts[0]!.computation.product(...makeFactors(parts)));
}
