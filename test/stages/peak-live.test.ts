/** Live activations, counted while real workers run each schedule, are those that the simulation promises. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  generateSchedule,
  SCHEDULE_NAMES,
  scheduleKind,
  simulateSchedule,
} from '#internal/scheduler/plan/index.js';
import { runOnNullStages, startNullWorkers } from '../../bench/schedules/null-pipeline.mjs';
import { useBackend } from '../helpers/backends.js';

type Actions = Awaited<ReturnType<typeof runOnNullStages>>[number];

beforeAll(() => useBackend('cpu'));

/** From the start of F to the end of W, by the clock that all workers share. */
function countPeak(actions: Actions, belongs: (record: Actions[number]) => boolean): number {
  const changes = actions.filter(belongs).flatMap(({ action, startMs, endMs }) => {
    if (action.kind === 'forward') return [{ atMs: startMs, change: 1 }];
    if (action.kind !== 'backwardWeight') return [];
    // A null stage takes its time micro-batch by micro-batch, but keeps what a real one would: all until the end of W.
    return [{ atMs: endMs, change: -action.microBatches.length }];
  });
  let live = 0;
  let peak = 0;
  for (const { change } of changes.sort((one, other) => one.atMs - other.atMs || one.change - other.change)) {
    live += change;
    peak = Math.max(peak, live);
  }
  expect(live).toBe(0);
  return peak;
}

describe.each([2, 3, 4])('on %i workers', workerCount => {
  let pool: Awaited<ReturnType<typeof startNullWorkers>>;
  beforeAll(async () => {
    pool = await startNullWorkers(workerCount);
  });
  afterAll(() => pool.close());

  it.each(SCHEDULE_NAMES)('%s keeps as many micro-batches live as was predicted', async name => {
    const { place, stagesPerWorker } = scheduleKind(name);
    const stageCount = stagesPerWorker * workerCount;
    const schedule = generateSchedule(name, {
      stageCount,
      microBatchCount: 2 * workerCount + 1,
      workerOfStage: place(stageCount, workerCount),
    });
    const { peakLiveOfStage, peakLiveOfWorker } = simulateSchedule(schedule);
    const [actions] = await runOnNullStages(pool, schedule, {}, { warmUps: 0 });
    const ofStage = peakLiveOfStage.map((_, stage) =>
      countPeak(actions!, ({ action }) => action.stage === stage),
    );
    const ofWorker = peakLiveOfWorker.map((_, worker) =>
      countPeak(actions!, record => record.worker === worker),
    );
    expect({ ofStage, ofWorker }).toEqual({ ofStage: peakLiveOfStage, ofWorker: peakLiveOfWorker });
  });
});
