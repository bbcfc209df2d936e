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
  type SampleProduct,
} from '../backends/index.js';
import { StateError } from '../errors.js';
import { slotFreeCopy } from './slot-free-copy.js';

export class WeightFactors {
  readonly #backend: Backend;
  /** Of this replica's samples, by weight. */
  readonly #own = new Map<number, Factors>();
  /** Of the samples of others, by weight, in the order in which they came. */
  readonly #others = new Map<number, Factors[]>();
  /** What is done with the factors, by weight. */
  readonly #computations = new Map<number, FactorComputation>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Whether the factors of a weight's gradient, of one or several micro-batches, are less to send than the gradient. Remembers
   * the product for factors that come from others, who have other numbers of samples.
   */
  areWorthHolding(weight: number, products: readonly SampleProduct[], gradientSize: number): boolean {
    this.#computations.set(weight, products[0]!.computation);
    return products.reduce((sum, { factorSize }) => sum + factorSize, 0) < gradientSize;
  }

  /** @param largestReceived elements of the largest received tensor that the factors may alias */
  hold(weight: number, products: readonly SampleProduct[], largestReceived: number): void {
    const { computation } = products[0]!;
    const [left, right] = tf.tidy(() => [
      ...joinFactors(
        computation,
        products.map(({ factors }) => factors()),
      ),
    ]);
    const held = (factor: tf.Tensor): tf.Tensor =>
      tf.keep(slotFreeCopy(this.#backend, factor, largestReceived));
    this.#own.set(weight, [held(left!), held(right!)]);
  }

  /** Of this replica's samples. They stay this object's. */
  of(weight: number): Factors | undefined {
    return this.#own.get(weight);
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
    const all = [...(own === undefined ? [] : [own]), ...(this.#others.get(weight) ?? [])];
    if (all.length === 0) return undefined;
    const computation = this.#computations.get(weight);
    if (computation === undefined) {
      throw new StateError(
        `Another replica sent factors for weight ${weight}, whose gradient is no product here.`,
      );
    }
    return tf.tidy(() => computation.product(...joinFactors(computation, all)));
  }

  clear(): void {
    for (const factors of this.#own.values()) tf.dispose([...factors]);
    this.#own.clear();
    this.#others.clear();
  }
}
