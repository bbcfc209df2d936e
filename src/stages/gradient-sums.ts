/** Sums of gradients, by number of what they are gradients of. */

import type { Backend } from '../backends/index.js';
import { tf } from '../tf.js';
import { slotFreeCopy } from './slot-free-copy.js';

export class GradientSums {
  readonly #backend: Backend;
  #sums = new Map<number, tf.Tensor>();
  /** Sums whose memory is theirs alone: a lone gradient may share it with another one, or with a weight. */
  readonly #isOwn = new WeakSet<tf.Tensor>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** It stays this object's. */
  get(index: number): tf.Tensor | undefined {
    return this.#sums.get(index);
  }

  /** It is the caller's then. */
  take(index: number): tf.Tensor | undefined {
    const sum = this.#sums.get(index);
    this.#sums.delete(index);
    return sum;
  }

  /**
   * Adds a gradient, and takes it over.
   *
   * @param largestReceived elements of the largest received tensor that the gradient may alias
   */
  add(index: number, gradient: tf.Tensor, largestReceived: number): void {
    const sum = this.#sums.get(index);
    if (sum === undefined) {
      this.#sums.set(index, slotFreeCopy(this.#backend, gradient, largestReceived));
      return;
    }
    const fused = this.#backend.fused;
    if (fused !== undefined && this.#isOwn.has(sum)) {
      fused.accumulateInPlace(sum, gradient);
    } else {
      const added = tf.add(sum, gradient);
      this.#isOwn.add(added);
      this.#sums.set(index, added);
      sum.dispose();
    }
    gradient.dispose();
  }

  scale(index: number, factor: number): void {
    const sum = this.#sums.get(index);
    if (sum === undefined) return;
    this.#sums.set(
      index,
      tf.tidy(() => tf.mul(sum, factor)),
    );
    sum.dispose();
  }

  /**
   * Starts over, with a new map: `Map.clear` of one that V8 has moved to its old generation leaves the old table there with all that
   * was in it, which the scavenger takes for alive until the next major collection. A tenth of what survived a scavenge of a
   * transformer's worker did so for these maps.
   */
  clear(): void {
    for (const sum of this.#sums.values()) sum.dispose();
    this.#sums = new Map();
  }
}
