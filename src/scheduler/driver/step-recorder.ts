/**
 * Keeps the times of the last training steps, for `trainer.timeline()`.
 *
 * Workers write them to the step board in any case. Of each step they are copied as they stand, into a buffer that an older
 * step has left: about a microsecond for 2 workers of 40 actions, 40 for 64 of 400, and hardly an object. What the numbers mean is worked out when somebody asks.
 */
import type { Program } from '../../protocol/action.js';
import type { StepBoard, StepDescriptor } from '../../transport/index.js';

/** Bound of all times together: 8 MiB. Long programs of many workers are kept for fewer steps. */
const MOST_NUMBERS = 2 ** 20;

/** A training step as its workers reported it. */
export interface RecordedStep {
  /** Mini-batches since the trainer was made. */
  readonly step: number;
  readonly rows: number;
  readonly microBatchRows: readonly number[];
  readonly programs: readonly Program[];
  /** Start and end of every action, worker by worker, in milliseconds of the process's monotonic clock. */
  readonly times: Float64Array;
  /** What the training loop made of it; not known while the step's report is still to be looked at. */
  outcome: StepOutcome | undefined;
}

/** Where a step stood in its fit, and what came out. */
export interface StepOutcome {
  readonly epoch: number;
  /** Index of the mini-batch in its epoch. */
  readonly batch: number;
  /** Loss and metrics by tfjs's names. */
  readonly logs: Readonly<Record<string, number>>;
}

export class StepRecorder {
  readonly #mostSteps: number;
  /** The first one is the oldest. */
  readonly #steps: RecordedStep[] = [];

  /** @param mostSteps how many steps are kept; none at 0 */
  constructor(mostSteps: number) {
    this.#mostSteps = mostSteps;
  }

  /** The last steps, the oldest first. */
  get steps(): readonly RecordedStep[] {
    return this.#steps;
  }

  /** @param position of the step on the board, where its place is not yet given to another one */
  record(
    { number: step, rows, microBatchRows }: StepDescriptor,
    programs: readonly Program[],
    board: StepBoard,
    position: number,
  ): void {
    if (this.#mostSteps === 0) return;
    const length = programs.reduce((sum, program) => sum + 2 * program.length, 0);
    const room = Math.max(1, Math.min(this.#mostSteps, Math.floor(MOST_NUMBERS / length)));
    let free: Float64Array | undefined;
    while (this.#steps.length >= room) free = this.#steps.shift()!.times;
    const times = free?.length === length ? free : new Float64Array(length);
    let offset = 0;
    for (const [worker, program] of programs.entries()) {
      const count = 2 * program.length;
      times.set(board.times(position, worker).subarray(0, count), offset);
      offset += count;
    }
    this.#steps.push({ step, rows, microBatchRows, programs, times, outcome: undefined });
  }

  /** Adds what became of a step, if it is still kept. */
  describe(step: number, { epoch, batch, logs }: StepOutcome): void {
    const recorded = this.#steps.findLast(({ step: number }) => number === step);
    if (recorded !== undefined) recorded.outcome = { epoch, batch, logs };
  }
}
