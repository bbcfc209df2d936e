/**
 * Weight gradients that are products over samples, xᵀ·dz, and that nobody computes before their factors are together: a replica
 * sends x and dz of its samples to the one that steps the weight, and that one takes the product over the samples of all.
 *
 * For a dense layer of 512 × 512 and 64 samples that is a quarter of the gradient's bytes, the sum over replicas is part
 * of the product, and each replica computes the products of its own weights alone. After "sufficient factor broadcasting"
 * (Xie et al., UAI 2016, arXiv 1512.02113); here factors go to the stepper only, since weights are shared.
 */
import * as tf from '@tensorflow/tfjs';
import {
  type Backend,
  type FactorComputation,
  type Factors,
  joinFactors,
  makeFactors,
  PLAIN_FACTORS,
  type SampleProduct,
} from '../backends/index.js';
import { slotFreeCopy } from './slot-free-copy.js';

/** Whether the factors of a gradient of so many elements are less to send than the gradient. */
export function areFactorsSmaller(products: readonly SampleProduct[], gradientSize: number): boolean {
  return products.reduce((sum, { factorSize }) => sum + factorSize, 0) < gradientSize;
}

interface Own {
  readonly factors: Factors;
  readonly computation: FactorComputation;
}

export class WeightFactors {
  readonly #backend: Backend;
  /** Of this replica's samples, by weight. */
  readonly #own = new Map<number, Own>();
  /** Of the samples of others, by weight, in the order in which they came. */
  readonly #others = new Map<number, Factors[]>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** @param largestReceived elements of the largest received tensor that the factors may alias */
  hold(weight: number, products: readonly SampleProduct[], largestReceived: number): void {
    const { computation } = products[0]!;
    const made = tf.tidy(() => [...makeFactors(products)]);
    // Those of several micro-batches were joined in memory of their own.
    const mayAlias = products.length === 1 ? largestReceived : 0;
    const [left, right] = made.map(factor => tf.keep(slotFreeCopy(this.#backend, factor, mayAlias)));
    this.#own.set(weight, { factors: [left!, right!], computation });
  }

  /** Of this replica's samples. They stay this object's. */
  of(weight: number): Factors | undefined {
    return this.#own.get(weight)?.factors;
  }

  /** Joins those of another replica's samples. They stay the caller's, and must stay until `compute`. */
  join(weight: number, factors: Factors): void {
    const joined = this.#others.get(weight) ?? [];
    joined.push(factors);
    this.#others.set(weight, joined);
  }

  /** A weight's gradient over the samples of all whose factors are here, if there are any. The caller's. */
  compute(weight: number): tf.Tensor | undefined {
    const own = this.#own.get(weight);
    const all = [...(own === undefined ? [] : [own.factors]), ...(this.#others.get(weight) ?? [])];
    if (all.length === 0) return undefined;
    // A user's layer may make a gradient otherwise in one replica, which then computes here what it has no kernel for.
    const computation = own?.computation ?? PLAIN_FACTORS;
    return tf.tidy(() => computation.product(...joinFactors(computation, all)));
  }

  clear(): void {
    for (const { factors } of this.#own.values()) tf.dispose([...factors]);
    this.#own.clear();
    this.#others.clear();
  }
}
