/** What every schedule is generated from, and the checks that all generators share. */
import type { ComputeAction } from '../../../protocol/action.js';
import type { Schedule } from '../../../protocol/schedule.js';
import type { ActionCost } from '../costs.js';
import { ScheduleError } from '../errors.js';
import type { LiveLimit } from '../validate/memory.js';

export interface ScheduleParams {
  readonly stageCount: number;
  readonly microBatchCount: number;
  /** Worker index of every stage; workers count from 0 without gaps. */
  readonly workerOfStage: readonly number[];
  /** Measured durations, for schedules that are made from them (`greedy`). Default: unit costs. */
  readonly cost?: ActionCost | undefined;
  /** What workers may keep, for schedules that are made for a limit (`greedy`). */
  readonly limits?: ActivationLimits | undefined;
}

/** What a worker may keep of its micro-batches between F and W. Where both are given, both hold. */
export interface ActivationLimits {
  /** Most live micro-batches, summed over a worker's stages. */
  readonly liveLimit?: LiveLimit | undefined;
  /** Most bytes of live activations: one number for all workers, or one for each. Needs `activationBytes`. */
  readonly limitBytes?: LiveLimit | undefined;
  /** Bytes that a stage keeps of one micro-batch; one per stage. */
  readonly activationBytes?: readonly number[] | undefined;
}

export type ScheduleGenerator = (params: ScheduleParams) => Schedule;

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

/** The longest stretches of neighbouring stages on one worker, in order. */
export function splitIntoRuns(workerOfStage: readonly number[]): number[][] {
  const runs: number[][] = [];
  workerOfStage.forEach((worker, stage) => {
    if (stage > 0 && worker === workerOfStage[stage - 1]) runs.at(-1)!.push(stage);
    else runs.push([stage]);
  });
  return runs;
}

/** F of a micro-batch through a run, upwards. */
export function forwards(stages: readonly number[], microBatches: readonly number[]): ComputeAction[] {
  return stages.map(stage => ({ kind: 'forward', stage, microBatches }));
}

/** B of a micro-batch through a run, downwards, each followed by its W. */
export function backwards(stages: readonly number[], microBatches: readonly number[]): ComputeAction[] {
  const actions: ComputeAction[] = [];
  for (const stage of stages.toReversed()) {
    actions.push({ kind: 'backwardInput', stage, microBatches });
    actions.push({ kind: 'backwardWeight', stage, microBatches });
  }
  return actions;
}

/** `[0]`, `[1]`, … : one list a micro-batch, shared by all actions that name it alone, which spares millions of them. */
export function singleMicroBatches(microBatchCount: number): readonly (readonly number[])[] {
  return Array.from({ length: microBatchCount }, (_, microBatch) => [microBatch]);
}
