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
import { ScheduleError } from '../errors.js';

export interface ScheduleParams {
  readonly stageCount: number;
  readonly microBatchCount: number;
  /** Worker index of every stage; workers count from 0 without gaps. */
  readonly workerOfStage: readonly number[];
}

export type ScheduleGenerator = (params: ScheduleParams) => Schedule;

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
  const pieces: Piece[][] = Array.from({ length: Math.max(...workerOfStage) + 1 }, () => []);
  runs.forEach((stages, run) => {
    const ofWorker = pieces[workerOfStage[stages[0]!]!]!;
    for (let microBatch = 0; microBatch < microBatchCount; microBatch++) {
      ofWorker.push({ time: clock.forward(run, microBatch), run, actions: forwards(stages, microBatch) });
      if (clock.backward === undefined) continue;
      ofWorker.push({ time: clock.backward(run, microBatch), run, actions: backwards(stages, microBatch) });
    }
  });
  // At equal times the deeper run goes first: its micro-batch is the older one.
  const orders = pieces.map(ofWorker =>
    ofWorker
      .sort((one, other) => one.time - other.time || other.run - one.run)
      .flatMap(piece => piece.actions),
  );
  return { name, stageCount, microBatchCount, workerOfStage: [...workerOfStage], orders };
}

function forwards(stages: readonly number[], microBatch: number): ComputeAction[] {
  return stages.map(stage => ({ kind: 'forward', stage, microBatches: [microBatch] }));
}

function backwards(stages: readonly number[], microBatch: number): ComputeAction[] {
  return stages.toReversed().flatMap((stage): ComputeAction[] => [
    { kind: 'backwardInput', stage, microBatches: [microBatch] },
    { kind: 'backwardWeight', stage, microBatches: [microBatch] },
  ]);
}

/** The longest stretches of neighbouring stages on one worker, in order. */
export function splitIntoRuns(workerOfStage: readonly number[]): number[][] {
  const runs: number[][] = [];
  workerOfStage.forEach((worker, stage) => {
    if (stage > 0 && worker === workerOfStage[stage - 1]) runs.at(-1)!.push(stage);
    else runs.push([stage]);
  });
  return runs;
}

/** Shared by all generators, so that every schedule refuses the same parameters in the same words. */
export function checkParams({ stageCount, microBatchCount, workerOfStage }: ScheduleParams): void {
  const refuse = (message: string): never => {
    throw new ScheduleError(message, { fault: 'shape' });
  };
  for (const [name, value] of Object.entries({ stageCount, microBatchCount })) {
    if (!Number.isInteger(value) || value < 1)
      refuse(`${name} must be a whole number of at least 1, got ${value}`);
  }
  if (workerOfStage.length !== stageCount) {
    refuse(
      `workerOfStage must name a worker for each of the ${stageCount} stages, got ${workerOfStage.length}`,
    );
  }
  const workers = new Set(workerOfStage);
  for (let worker = 0; worker < workers.size; worker++) {
    if (!workers.has(worker)) {
      refuse(
        `workers must count from 0 without gaps, but none of [${workerOfStage.join(', ')}] is ${worker}`,
      );
    }
  }
}
