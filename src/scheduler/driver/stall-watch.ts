/**
 * Notices when nothing moves: a worker that is stuck inside an action hears nothing, and one that works alone has nobody
 * who waits for it. The driver sees both, because workers note start and end of every action on the step board.
 */
import { StageError } from '../../errors.js';
import { formatAction } from '../../protocol/action-text.js';
import type { StepDescriptor } from '../../transport/index.js';
import type { DriverSession } from './session.js';

/** Looks within a timeout: enough to be late by a quarter at the most. */
const LOOKS_PER_TIMEOUT = 4;

export class StallWatch {
  readonly #session: DriverSession;
  readonly #underWay: ReadonlyMap<number, StepDescriptor>;
  readonly #now: () => number;
  #progress = '';
  #lookedAtMs: number;
  #quietSinceMs: number;

  /** @param underWay steps that were handed out and are not complete, by position on the board */
  constructor(
    session: DriverSession,
    underWay: ReadonlyMap<number, StepDescriptor>,
    now = () => performance.now(),
  ) {
    this.#session = session;
    this.#underWay = underWay;
    this.#now = now;
    this.#lookedAtMs = now();
    this.#quietSinceMs = this.#lookedAtMs;
  }

  /** Time between two looks. */
  get intervalMs(): number {
    return this.#session.stallTimeoutMs / LOOKS_PER_TIMEOUT;
  }

  /** Throws a `StageError` once nothing has moved for the stall timeout. Cheap unless a look is due. */
  check(): void {
    const nowMs = this.#now();
    const sinceLookMs = nowMs - this.#lookedAtMs;
    if (sinceLookMs < this.intervalMs) return;
    this.#lookedAtMs = nowMs;
    const progress = this.#observe();
    // After a long sleep of this thread the workers may only have waited for it.
    const wasAway = sinceLookMs > 2 * this.intervalMs;
    if (progress !== this.#progress || this.#underWay.size === 0 || wasAway) {
      this.#progress = progress;
      this.#quietSinceMs = nowMs;
    }
    const quietMs = nowMs - this.#quietSinceMs;
    if (quietMs < this.#session.stallTimeoutMs) return;
    const message = `no progress for ${Math.round(quietMs)} ms`;
    throw this.culprit(message) ?? new StageError({ name: 'StallError', message });
  }

  /** The worker that is inside a stage's work, rather than waiting for another. */
  culprit(message: string): StageError | undefined {
    const { board, programs } = this.#session;
    for (const [position, { number }] of this.#underWay) {
      for (const [worker, program] of programs.entries()) {
        const times = board.times(position, worker);
        const action = program.find((_, index) => times[2 * index]! > times[2 * index + 1]!);
        if (action === undefined || action.kind === 'send' || action.kind === 'receive') continue;
        return new StageError({
          name: 'StallError',
          message,
          worker,
          stage: action.stage,
          step: number,
          action: formatAction(action),
          ...('microBatches' in action ? { microBatch: action.microBatches[0]! } : {}),
        });
      }
    }
    return undefined;
  }

  /** Whatever changes when anything happens. */
  #observe(): string {
    const { board, programs } = this.#session;
    let latestMs = 0;
    for (const position of this.#underWay.keys()) {
      for (const worker of programs.keys()) {
        for (const time of board.times(position, worker)) latestMs = Math.max(latestMs, time);
      }
    }
    return `${board.limit} ${board.completed} ${latestMs}`;
  }
}
