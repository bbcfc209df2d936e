/**
 * Which worker runs which stage.
 *
 * Every schedule has a placement that it is made for (`schedules/index.ts` says which), though all accept any. Each uses
 * `min(stageCount, workerCount)` workers: a worker without a stage has no work.
 */
import { MillraceError } from '../../errors.js';

/** Worker of every stage, for so many stages and at most so many workers. */
export type Placement = (stageCount: number, workerCount: number) => readonly number[];

/**
 * Contiguous blocks of nearly equal length, `0 0 1 1`: neighbours on one worker need no transport of their own, and a
 * block behaves like one larger stage.
 */
export const place: Placement = (stageCount, workerCount) => {
  const used = usedWorkers(stageCount, workerCount);
  return Array.from({ length: stageCount }, (_, stage) => Math.floor((stage * used) / stageCount));
};

/** Round after round over all workers, `0 1 0 1` (Megatron-LM): a micro-batch meets every worker early. */
export const placeRoundRobin: Placement = (stageCount, workerCount) => {
  const used = usedWorkers(stageCount, workerCount);
  return Array.from({ length: stageCount }, (_, stage) => stage % used);
};

/**
 * Up and down again, `0 1 1 0` (the V of Zero Bubble): the worker with the first stage has the last one too, so B begins where
 * F began. More than two stages a worker make more than one V.
 */
export const placeInV: Placement = (stageCount, workerCount) => {
  const used = usedWorkers(stageCount, workerCount);
  return Array.from({ length: stageCount }, (_, stage) => {
    const inTurn = stage % (2 * used);
    return Math.min(inTurn, 2 * used - 1 - inTurn);
  });
};

function usedWorkers(stageCount: number, workerCount: number): number {
  for (const [name, value] of Object.entries({ stageCount, workerCount })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new MillraceError(
        'MILLRACE_SCHEDULE',
        `${name} must be a whole number of at least 1, got ${value}`,
      );
    }
  }
  return Math.min(stageCount, workerCount);
}
