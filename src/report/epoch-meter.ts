/** What is known of a running epoch: how far it is, how fast, and the means of its losses and metrics. Pure. */

export interface EpochFacts {
  readonly epoch: number;
  readonly epochs: number;
  /** Of the epoch, where known beforehand: a dataset does not tell. */
  readonly samples: number | undefined;
  /** Mini-batches of the epoch, where known beforehand. */
  readonly steps: number | undefined;
}

export class EpochMeter {
  readonly facts: EpochFacts;
  readonly startMs: number;
  /** Sums of value × rows: a mini-batch counts by its samples, as in `History`. */
  readonly #sums = new Map<string, number>();
  #lastMs: number;
  #rows = 0;
  #steps = 0;

  constructor(facts: EpochFacts, startMs: number) {
    this.facts = facts;
    this.startMs = startMs;
    this.#lastMs = startMs;
  }

  add(rows: number, logs: Readonly<Record<string, number>>, nowMs: number): void {
    this.#rows += rows;
    this.#steps += 1;
    this.#lastMs = nowMs;
    for (const [name, value] of Object.entries(logs)) {
      this.#sums.set(name, (this.#sums.get(name) ?? 0) + value * rows);
    }
  }

  /** Samples that are done. */
  get rows(): number {
    return this.#rows;
  }

  /** How much of the epoch is done, from 0 to 1; `undefined` where nobody knows. */
  get share(): number | undefined {
    const { samples, steps } = this.facts;
    if (samples !== undefined) return this.#rows / samples;
    return steps === undefined ? undefined : this.#steps / steps;
  }

  get means(): Record<string, number> {
    return Object.fromEntries([...this.#sums].map(([name, sum]) => [name, sum / this.#rows]));
  }

  /** `NaN` before the first mini-batch. */
  get samplesPerSecond(): number {
    return (this.#rows / (this.#lastMs - this.startMs)) * 1000;
  }

  /** Until the end of the epoch, at the speed so far; `undefined` where the end is not known. */
  get remainingMs(): number | undefined {
    const { share } = this;
    return share === undefined ? undefined : (this.elapsedMs / share) * (1 - share);
  }

  /** From the beginning to the last mini-batch. */
  get elapsedMs(): number {
    return this.#lastMs - this.startMs;
  }
}
