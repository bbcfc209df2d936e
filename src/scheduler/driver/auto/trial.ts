/** A few training steps under one plan, timed: nothing of them is thrown away. */
import type { ModelPlan } from '../model-plan.js';

/** Steps that fill the pipeline and compile what runs, and count nothing. */
const WARM_UP_STEPS = 2;
const LEAST_STEPS = 5;
/** Short steps are timed for so long at the least: a single one tells nothing. */
const LEAST_MS = 200;
/** Reports of shorter steps come in bursts, so that single periods mean nothing. */
const SHORT_MS = 3;

export class Trial {
  readonly plan: ModelPlan;
  readonly #rows: number;
  readonly #periodsMs: number[] = [];
  #warmUpLeft = WARM_UP_STEPS;
  #lastMs: number | undefined;
  #totalMs = 0;

  /** @param rows of the mini-batches that count */
  constructor(plan: ModelPlan, rows: number) {
    this.plan = plan;
    this.#rows = rows;
  }

  /** Begins a run: the time before its first report counts nothing. */
  begin(): void {
    this.#lastMs = undefined;
  }

  observe(rows: number, nowMs: number): void {
    const previousMs = this.#lastMs;
    this.#lastMs = nowMs;
    if (previousMs === undefined || rows !== this.#rows) return;
    if (this.#warmUpLeft > 0) {
      this.#warmUpLeft -= 1;
      return;
    }
    this.#periodsMs.push(nowMs - previousMs);
    this.#totalMs += nowMs - previousMs;
  }

  get isComplete(): boolean {
    return this.#periodsMs.length >= LEAST_STEPS && this.#totalMs >= LEAST_MS;
  }

  /** Time from one step to the next. The median: other programs disturb single steps, and reports may come in pairs. */
  get periodMs(): number {
    if (this.#totalMs / this.#periodsMs.length < SHORT_MS) return this.#totalMs / this.#periodsMs.length;
    const sorted = [...this.#periodsMs].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]!;
  }
}
