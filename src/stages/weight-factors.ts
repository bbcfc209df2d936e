/**
 * Weight gradients that are products over samples, xᵀ·dz, and that nobody computes before their factors are together: a replica
 * sends x and dz of its samples to those that step the weight, and each takes the product over the samples of all: of a weight that is
 * divided, for the columns of x that make its rows.
 *
 * For a dense layer of 512 × 512 and 64 samples that is a quarter of the gradient's bytes, the sum over replicas is part
 * of the product, and each replica computes the products of its own weights alone. After "sufficient factor broadcasting"
 * (Xie et al., UAI 2016, arXiv 1512.02113); here factors go to the stepper only, since weights are shared.
 */

import {
  type Backend,
  type FactorComputation,
  type Factors,
  joinFactors,
  makeFactors,
  PLAIN_FACTORS,
  type SampleProduct,
} from '../backends/index.js';
import { elementCount } from '../protocol/message.js';
import type { RowRange } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';
import { columnsOf } from '../tfjs/rows.js';
import { slotFreeCopy } from './slot-free-copy.js';

/**
 * Whether the factors of a gradient are less to send than the gradient.
 *
 * @param shape of the weight
 * @param rows of a matrix, if not all of it: of the left factor only so many columns cross
 */
export function areFactorsSmaller(
  products: readonly SampleProduct[],
  shape: readonly number[],
  rows: RowRange | undefined,
): boolean {
  const factorSize = products.reduce((sum, product) => sum + product.factorSize, 0);
  if (rows === undefined) return factorSize < elementCount(shape);
  const [rowCount, rowSize] = shape as readonly [number, number];
  const part = rows.end - rows.begin;
  return (factorSize * (part + rowSize)) / (rowCount + rowSize) < part * rowSize;
}

interface Own {
  readonly factors: Factors;
  readonly computation: FactorComputation;
}

export class WeightFactors {
  readonly #backend: Backend;
  /** Of this replica's samples, by weight. */
  #own = new Map<number, Own>();
  /** Of the samples of others, by weight, in the order in which they came. */
  #others = new Map<number, Factors[]>();

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

  /** Of this replica's samples. They stay this object's, but what is made for some rows alone is the caller's scope's. */
  of(weight: number, rows: RowRange | undefined): Factors | undefined {
    const factors = this.#own.get(weight)?.factors;
    if (factors === undefined || rows === undefined) return factors;
    const [left, right] = factors;
    return [columnsOf(left, rows), right];
  }

  /** Joins those of another replica's samples, for the rows that this one steps. They stay the caller's, and must stay until `compute`. */
  join(weight: number, factors: Factors): void {
    const joined = this.#others.get(weight) ?? [];
    joined.push(factors);
    this.#others.set(weight, joined);
  }

  /**
   * The gradient of a weight, or of some rows, over the samples of all whose factors are here, if there are any, and lets go of them.
   * The caller's.
   */
  compute(weight: number, rows: RowRange | undefined): tf.Tensor | undefined {
    const others = this.#others.get(weight) ?? [];
    const own = this.#own.get(weight);
    if (own === undefined && others.length === 0) return undefined;
    // A user's layer may make a gradient otherwise in one replica, which then computes here what it has no kernel for.
    const computation = own?.computation ?? PLAIN_FACTORS;
    const gradient = tf.tidy(() => {
      const ownFactors = this.of(weight, rows);
      const all = ownFactors === undefined ? others : [ownFactors, ...others];
      return computation.product(...joinFactors(computation, all));
    });
    if (own !== undefined) tf.dispose([...own.factors]);
    this.#own.delete(weight);
    this.#others.delete(weight);
    return gradient;
  }

  clear(): void {
    for (const { factors } of this.#own.values()) tf.dispose([...factors]);
    // New ones: see `GradientSums.clear`.
    this.#own = new Map();
    this.#others = new Map();
  }
}
