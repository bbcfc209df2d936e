/** A few training steps under one plan, timed: nothing of them is thrown away. */
import type { ModelPlan } from '../model-plan.js';

/** Steps that count nothing: they fill the pipeline, and in the ninth call at the latest layers become graphs. */
const WARM_UP_STEPS = 10;
/** What these steps take at the most. Of longer ones layers may become graphs later; they gain little by it. */
const MOST_WARM_UP_MS = 500;
/** So long further ones count nothing, while V8 compiles what is new in the plan. */
const WARM_UP_MS = 100;
/**
 * The same at the beginning of training, when main thread and workers compile everything: two replicas of an MLP took 8.5 ms a step
 * in their first half second, 6.5 after a second, and 5.5 in the end, one worker 7.2, 6.5 and 6.3.
 */
const COLD_MS = 1_000;
const LEAST_STEPS = 5;
/**
 * Steps are timed for a fiftieth of what follows, within bounds: a few short ones tell nothing, and something else that keeps the
 * machine busy for a moment, a tenth of a second say, is not to decide about all of it.
 */
const SHARE_OF_REST = 1 / 50;
const LEAST_MS = 200;
const MOST_MS = 1_000;
/** Reports of shorter steps come in bursts, so that single periods mean nothing. */
const SHORT_MS = 3;

/**
 * How much training is expected to follow. Nobody knows which calls of `fit` are to follow: training is taken to be half done. What is
 * then done for training that does not follow has cost a part of what was trained before, and many short fits find their plan as one
 * long one does.
 */
export function restMsOf(trainedMs: number, remainingSteps: number, stepMs: number): number {
  return Math.max(trainedMs, remainingSteps * stepMs);
}

export class Trial {
  readonly plan: ModelPlan;
  readonly #rows: number;
  readonly #trainedMs: number;
  readonly #remainingSteps: number;
  readonly #periodsMs: number[] = [];
  #warmUpStepsLeft = WARM_UP_STEPS;
  readonly #leastWarmUpMs: number;
  #warmUpMs = 0;
  #lastMs: number | undefined;
  #totalMs = 0;

  /**
   * @param rows of the mini-batches that count
   * @param trainedMs time that was trained before
   * @param remainingSteps of this call to `fit`; 0 where nobody knows
   */
  constructor(plan: ModelPlan, rows: number, trainedMs: number, remainingSteps: number) {
    this.plan = plan;
    this.#rows = rows;
    this.#trainedMs = trainedMs;
    this.#remainingSteps = remainingSteps;
    this.#leastWarmUpMs = Math.max(WARM_UP_MS, COLD_MS - trainedMs);
  }

  /** Begins a run: the time before its first report counts nothing. */
  begin(): void {
    this.#lastMs = undefined;
  }

  observe(rows: number, nowMs: number): void {
    const previousMs = this.#lastMs;
    this.#lastMs = nowMs;
    if (previousMs === undefined || rows !== this.#rows) return;
    const periodMs = nowMs - previousMs;
    if (this.#isWarmingUp) {
      this.#warmUpStepsLeft -= 1;
      this.#warmUpMs += periodMs;
      return;
    }
    this.#periodsMs.push(periodMs);
    this.#totalMs += periodMs;
  }

  get #isWarmingUp(): boolean {
    if (this.#warmUpMs < this.#leastWarmUpMs) return true;
    return this.#warmUpStepsLeft > 0 && this.#warmUpMs < MOST_WARM_UP_MS;
  }

  get isComplete(): boolean {
    if (this.#periodsMs.length < LEAST_STEPS || this.#totalMs < LEAST_MS) return false;
    const restMs = restMsOf(this.#trainedMs, this.#remainingSteps, this.#meanMs);
    return this.#totalMs >= Math.min(MOST_MS, restMs * SHARE_OF_REST);
  }

  get #meanMs(): number {
    return this.#totalMs / this.#periodsMs.length;
  }

  /** Time from one step to the next. The median: other programs disturb single steps, and reports may come in pairs. */
  get periodMs(): number {
    if (this.#meanMs < SHORT_MS) return this.#meanMs;
    const sorted = [...this.#periodsMs].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]!;
  }
}
