// @ts-check
/** Measured costs of a trainer's actions, from its events, and what the simulator makes of them. */
import { simulateSchedule } from '#internal/scheduler/plan/index.js';

/** Mini-batches that are simulated back to back; the period is taken from the second half, past the filling. */
const SIMULATED_STEPS = 16;

export class ActionTimes {
  /** Of all but messages. @type {Map<string, { sumMs: number, count: number }>} */
  #times = new Map();
  #subscription;

  /** @param {import('millrace').PipelinedModel} trainer */
  constructor(trainer) {
    this.#subscription = trainer.events$.subscribe(event => {
      if (event.kind !== 'step') return;
      for (const { action, startMs, endMs } of event.actions) {
        if (action.kind === 'send' || action.kind === 'receive') continue;
        const key = keyOf(action);
        const { sumMs, count } = this.#times.get(key) ?? { sumMs: 0, count: 0 };
        this.#times.set(key, { sumMs: sumMs + endMs - startMs, count: count + 1 });
      }
    });
  }

  stop() {
    this.#subscription.unsubscribe();
  }

  /**
   * Messages are free in it: what they cost belongs to what is measured against it. Actions take their mean: a stretch of steps lasts
   * as long as all of them together, the few included that a collection or another process has held up.
   * @param {import('millrace').Schedule} schedule
   */
  simulatedPeriodMs(schedule) {
    /** @param {any} action */
    const cost = action => {
      const times = this.#times.get(keyOf(action));
      return times === undefined ? 0 : times.sumMs / times.count;
    };
    const makespan = (/** @type {number} */ miniBatchCount) =>
      simulateSchedule(schedule, { cost, miniBatchCount }).makespan;
    const half = SIMULATED_STEPS / 2;
    return (makespan(SIMULATED_STEPS) - makespan(half)) / half;
  }
}

/**
 * By stage and kind, not by micro-batch: they are alike, and more samples make a steadier mean.
 * @param {any} action
 */
function keyOf({ kind, stage, microBatches }) {
  const several = kind === 'backwardWeight' ? `×${microBatches.length}` : '';
  return `${stage}/${kind}${several}`;
}
