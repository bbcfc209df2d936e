// @ts-check
/** Measured costs of a trainer's actions, from its events, and what the simulator makes of them. */
import { simulateSchedule } from '#internal/scheduler/plan/index.js';
import { median } from '../run/statistics.mjs';

/** Mini-batches that are simulated back to back; the period is taken from the second half, past the filling. */
const SIMULATED_STEPS = 16;

export class ActionTimes {
  /** @type {Map<string, number[]>} */
  #times = new Map();
  #subscription;

  /** @param {import('millrace').PipelinedModel} trainer */
  constructor(trainer) {
    this.#subscription = trainer.events$.subscribe(event => {
      if (event.kind !== 'step') return;
      for (const { action, startMs, endMs } of event.actions) {
        const key = keyOf(action);
        const times = this.#times.get(key) ?? [];
        times.push(endMs - startMs);
        this.#times.set(key, times);
      }
    });
  }

  stop() {
    this.#subscription.unsubscribe();
  }

  /** @returns {Record<string, number>} medians in milliseconds */
  summary() {
    return Object.fromEntries([...this.#times].map(([key, times]) => [key, median(times)]));
  }

  /**
   * Messages are free in it: what they cost belongs to what is measured against it.
   * @param {import('millrace').Schedule} schedule
   */
  simulatedPeriodMs(schedule) {
    const medians = this.summary();
    /** @param {any} action */
    const cost = action =>
      action.kind === 'send' || action.kind === 'receive' ? 0 : (medians[keyOf(action)] ?? 0);
    const makespan = (/** @type {number} */ miniBatchCount) =>
      simulateSchedule(schedule, { cost, miniBatchCount }).makespan;
    const half = SIMULATED_STEPS / 2;
    return (makespan(SIMULATED_STEPS) - makespan(half)) / half;
  }
}

/**
 * By stage and kind, not by micro-batch: they are alike, and more samples make a steadier median.
 * @param {any} action
 */
function keyOf({ kind, stage, microBatches, pass }) {
  const several = kind === 'backwardWeight' ? `×${microBatches.length}` : '';
  return `${stage}/${kind}${several}${pass === undefined ? '' : `/${pass}`}`;
}
