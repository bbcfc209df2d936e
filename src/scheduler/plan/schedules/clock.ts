/**
 * Orders compute actions by a clock: the engine behind the schedules that have a closed form.
 *
 * A *run* is a longest stretch of neighbouring stages on one worker; it behaves like one larger stage: F goes
 * through it upwards, B (each followed by its W) downwards. A schedule is then a pair of formulas that give the
 * clock time of a run's F and B of each micro-batch, and every worker does its work in order of time.
 *
 * Why no such order deadlocks: what F and B need from other runs stands at earlier clock times (each schedule
 * shows this for its formulas), so along any chain of waits the clock never rises, and falls whenever the chain
 * goes from run to run by data. A circle of waits would have to stay at one time, within one run of one worker, where
 * the order is right by construction. This holds for every placement, contiguous or not, and for skip edges
 * over any number of stages: what they need lies even earlier.
 */
import type { ComputeAction } from '../../../protocol/action.js';
import type { Schedule } from '../../../protocol/schedule.js';
import {
  backwards,
  checkParams,
  forwards,
  type ScheduleParams,
  singleMicroBatches,
  splitIntoRuns,
} from './params.js';

/** Clock times, of any unit. For `run` r of R: `forward` rises with r, `backward` falls with it. */
export interface Clock {
  forward(run: number, microBatch: number): number;
  /** Absent where nothing is trained. */
  backward?(run: number, microBatch: number): number;
}

interface Piece {
  readonly time: number;
  readonly run: number;
  readonly actions: readonly ComputeAction[];
}

export function orderByClock(
  name: string,
  params: ScheduleParams,
  clockOf: (runCount: number, microBatchCount: number) => Clock,
): Schedule {
  checkParams(params);
  const { stageCount, microBatchCount, workerOfStage } = params;
  const runs = splitIntoRuns(workerOfStage);
  const clock = clockOf(runs.length, microBatchCount);
  const microBatches = singleMicroBatches(microBatchCount);
  const runsOfWorkers: number[][] = Array.from(new Set(workerOfStage), () => []);
  for (const [run, [stage]] of runs.entries()) runsOfWorkers[workerOfStage[stage!]!]!.push(run);
  // Worker by worker: the pieces of thousands of stages would not fit into memory together.
  const orders = runsOfWorkers.map(ofWorker => {
    const pieces: Piece[] = [];
    for (const run of ofWorker) {
      const stages = runs[run]!;
      // Each kind on its own, since times then rise or fall steadily, and a merge sort merges them in no time.
      for (const [microBatch, named] of microBatches.entries())
        pieces.push({ time: clock.forward(run, microBatch), run, actions: forwards(stages, named) });
      if (clock.backward === undefined) continue;
      for (const [microBatch, named] of microBatches.entries())
        pieces.push({ time: clock.backward(run, microBatch), run, actions: backwards(stages, named) });
    }
    // At equal times the deeper run goes first: its micro-batch is the older one.
    pieces.sort((one, other) => one.time - other.time || other.run - one.run);
    const order: ComputeAction[] = [];
    for (const { actions } of pieces) order.push(...actions);
    return order;
  });
  return { name, stageCount, microBatchCount, workerOfStage: [...workerOfStage], orders };
}
