/**
 * Weight gradients that are products over samples, such as xᵀ·dz of a dense layer: those of several micro-batches are one
 * product over all their samples. A kernel marks the thunk of such a gradient; whoever holds several of them may combine them.
 */
import * as tf from '@tensorflow/tfjs';

type Thunk = () => tf.Tensor;

export interface SampleProduct {
  /** Elements of all operands together: what joining them costs. */
  readonly operandSize: number;
  /** Tensors with the samples along their first axis, made in the caller's scope. */
  readonly operands: () => readonly tf.Tensor[];
  /** The gradient, of any number of samples. */
  readonly product: (operands: readonly tf.Tensor[]) => tf.Tensor;
}

const products = new WeakMap<Thunk, SampleProduct>();

/** The thunk of a gradient, marked as a product over samples. */
export function sampleProduct(parts: SampleProduct): Thunk {
  const thunk = (): tf.Tensor => tf.tidy(() => parts.product(parts.operands()));
  products.set(thunk, parts);
  return thunk;
}

/** What a thunk was marked as, if it was. */
export function sampleProductOf(thunk: Thunk): SampleProduct | undefined {
  return products.get(thunk);
}

/** The sum of what the thunks give, as one product. */
export function joinProducts(parts: readonly SampleProduct[]): tf.Tensor {
  return tf.tidy(() => {
    const operands = parts.map(part => part.operands());
    const joined = operands[0]!.map((_, place) => tf.concat(operands.map(list => list[place]!)));
    return parts[0]!.product(joined);
  });
}
