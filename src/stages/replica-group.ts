/** What one stage's replicas tell each other in the middle of a mini-batch: small sums over all of them. */
import type { Collective } from '../transport/index.js';

export class ReplicaGroup {
  readonly #all: Collective;
  readonly #active: Collective;
  #activeCount: number;

  /**
   * @param active for sums over replicas with samples: of its own, since the others may be waiting for all at the same time
   */
  constructor(all: Collective, active: Collective) {
    this.#all = all;
    this.#active = active;
    this.#activeCount = all.size;
  }

  /** Replicas that have samples of the present mini-batch: the first ones. A small mini-batch does not reach all. */
  get activeCount(): number {
    return this.#activeCount;
  }

  /** Begins a mini-batch. All call it: nobody may go on while others still sum over another number of replicas. */
  begin(activeCount: number): void {
    if (activeCount === this.#activeCount) return;
    this.#all.allReduceSum(new Float32Array(0));
    this.#activeCount = activeCount;
  }

  get replica(): number {
    return this.#all.rank;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Replaces the data of every replica that has samples by the sum over those replicas. Only they call it. */
  sumOverActive(data: Float32Array): void {
    if (this.activeCount > 1) this.#active.allReduceSum(data, this.activeCount);
  }

  /** What each replica brought, by replica. All call it, with as many numbers. */
  gather(own: Float32Array): Float32Array[] {
    return this.#gathered(own, this.size, all => this.#all.allReduceSum(all));
  }

  /** What each replica that has samples brought. Only they call it, with as many numbers. */
  gatherActive(own: Float32Array): Float32Array[] {
    return this.#gathered(own, this.activeCount, all => this.sumOverActive(all));
  }

  /** Places of their own in one sum: adding zeros changes nothing. */
  #gathered(own: Float32Array, count: number, sum: (all: Float32Array) => void): Float32Array[] {
    const all = new Float32Array(own.length * count);
    all.set(own, this.replica * own.length);
    sum(all);
    return Array.from({ length: count }, (_, replica) =>
      all.subarray(replica * own.length, (replica + 1) * own.length),
    );
  }

  /** Replaces every replica's data by that of the first one, which always has samples. */
  broadcastFirst(data: Float32Array): void {
    this.#all.broadcast(data, 0);
  }

  close(): void {
    this.#all.close();
    this.#active.close();
  }
}
