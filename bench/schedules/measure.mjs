// @ts-check
/** Measured beside simulated: the same schedules on null stages and in the simulator, with the same durations. */
import {
  generateSchedule,
  SCHEDULE_NAMES,
  scheduleKind,
  simulateSchedule,
} from '#internal/scheduler/plan/index.js';
import { median } from '../run/statistics.mjs';
import { runOnNullStages, startNullWorkers } from './null-pipeline.mjs';

/** Of a worker's whole share of one micro-batch; W is a quarter. */
export const SHARE_MS = /** @type {const} */ ({ forward: 12, backwardInput: 12, backwardWeight: 8 });

/**
 * @typedef {object} ScheduleResult
 * @property {string} name
 * @property {number} workerCount
 * @property {{ makespanMs: number, idleShare: number }} simulated
 * @property {{ makespanMs: number, idleShare: number }} measured medians
 */

/**
 * @param {{ workerCounts: readonly number[], rounds: number, names?: readonly string[], timeScale?: number }} options
 *   `timeScale` shortens everything
 * @returns {Promise<ScheduleResult[]>} with 2 micro-batches a worker
 */
export async function measureSchedules({ workerCounts, rounds, names = SCHEDULE_NAMES, timeScale = 1 }) {
  /** @type {ScheduleResult[]} */
  const results = [];
  for (const workerCount of workerCounts) {
    const pool = await startNullWorkers(workerCount);
    try {
      for (const name of names) {
        const { place, stagesPerWorker } = scheduleKind(name);
        const stageCount = stagesPerWorker * workerCount;
        const ms = durations(timeScale / stagesPerWorker);
        const cost = costOf(ms);
        const workerOfStage = place(stageCount, workerCount);
        const schedule = generateSchedule(name, {
          stageCount,
          microBatchCount: 2 * workerCount,
          workerOfStage,
          cost,
        });
        const { makespan, bubbleFraction } = simulateSchedule(schedule, { cost });
        const runs = await runOnNullStages(pool, schedule, ms, { miniBatches: rounds });
        const measured = runs.map(actions => useOf(actions, workerCount));
        results.push({
          name,
          workerCount,
          simulated: { makespanMs: makespan, idleShare: bubbleFraction },
          measured: {
            makespanMs: median(measured.map(({ makespanMs }) => makespanMs)),
            idleShare: median(measured.map(({ idleShare }) => idleShare)),
          },
        });
      }
    } finally {
      await pool.close();
    }
  }
  return results;
}

/** @param {number} scale */
function durations(scale) {
  const { forward, backwardInput, backwardWeight } = SHARE_MS;
  return {
    forward: forward * scale,
    backwardInput: backwardInput * scale,
    backwardWeight: backwardWeight * scale,
  };
}

/**
 * @param {ReturnType<typeof durations>} ms
 * @returns {import('#internal/scheduler/plan/index.js').ActionCost}
 */
function costOf(ms) {
  return action => {
    if (action.kind === 'backwardWeight') return ms.backwardWeight * action.microBatches.length;
    return action.kind === 'forward' || action.kind === 'backwardInput' ? ms[action.kind] : 0;
  };
}

/**
 * From the first F to the last W; a worker is idle when it neither does F, B nor W.
 * @param {readonly import('./null-pipeline.mjs').ActionRecord[]} actions
 * @param {number} workerCount
 */
export function useOf(actions, workerCount) {
  const compute = actions.filter(
    ({ action: { kind } }) => kind === 'forward' || kind === 'backwardInput' || kind === 'backwardWeight',
  );
  const startMs = Math.min(...compute.map(action => action.startMs));
  const makespanMs = Math.max(...compute.map(action => action.endMs)) - startMs;
  const busyMs = compute.reduce((sum, action) => sum + action.endMs - action.startMs, 0);
  return { makespanMs, idleShare: 1 - busyMs / (workerCount * makespanMs) };
}
