/** What one stage's replicas tell each other in the middle of a mini-batch: small sums over all of them. */
import type { Collective } from '../transport/index.js';

export class ReplicaGroup {
  readonly #collective: Collective;
  /** Replicas that have samples of the present mini-batch: the first ones. A small mini-batch does not reach all. */
  activeCount: number;

  constructor(collective: Collective) {
    this.#collective = collective;
    this.activeCount = collective.size;
  }

  get replica(): number {
    return this.#collective.rank;
  }

  get size(): number {
    return this.#collective.size;
  }

  /** Replaces the data of every replica that has samples by the sum over those replicas. Only they call it. */
  sumOverActive(data: Float32Array): void {
    if (this.activeCount > 1) this.#collective.allReduceSum(data, this.activeCount);
  }

  /** What each replica brought, by replica. All call it, with as many numbers. */
  gather(own: Float32Array): Float32Array[] {
    const { rank, size } = this.#collective;
    const all = new Float32Array(own.length * size);
    all.set(own, rank * own.length);
    this.#collective.allReduceSum(all);
    return Array.from({ length: size }, (_, replica) =>
      all.subarray(replica * own.length, (replica + 1) * own.length),
    );
  }

  /** Replaces every replica's data by that of the first one, which always has samples. */
  broadcastFirst(data: Float32Array): void {
    this.#collective.broadcast(data, 0);
  }

  close(): void {
    this.#collective.close();
  }
}
