/** Schedules of one kind for the stages and workers of a plan that is looked for. */
import type { Schedule } from '../../protocol/schedule.js';
import type { ActionCost, ScheduleKind } from '../plan/index.js';

export type ScheduleOf = (microBatchCount: number, cost?: ActionCost) => Schedule;

/**
 * @param workers of one replica
 * @returns the same schedule for the same number of micro-batches, unless its order follows costs: what is made of it, its programs
 *   for one, can be kept
 */
export function schedulesOf(kind: ScheduleKind, stageCount: number, workers: number): ScheduleOf {
  const workerOfStage = kind.place(stageCount, workers);
  const known = new Map<number, Schedule>();
  return (microBatchCount, cost) => {
    const schedule =
      known.get(microBatchCount) ?? kind.generate({ stageCount, microBatchCount, workerOfStage, cost });
    if (!kind.usesCost) known.set(microBatchCount, schedule);
    return schedule;
  };
}
