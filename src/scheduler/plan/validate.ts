/**
 * Proves, before anything runs, that a plan can run: over two consecutive mini-batches, because the second one meets
 * whatever the first has left in the channels.
 *
 * 1. Shape: counts, placement, every action in range and on its stage's worker.
 * 2. Each (stage, micro-batch) has each of F, B, W exactly once and in that order.
 * 3. Every receive has its send, and both sides of a channel agree on the order.
 * 4. No deadlock with the given slots. Durations do not matter to this: whether a network of sequential processes
 *    with bounded channels deadlocks depends on its orders alone, so one simulation is a proof. Nor does the
 *    number of mini-batches: nothing waits for a later one, so a circle of waits would show within one.
 * 5. Live activations within the limit, if there is one.
 */
import type { Program } from '../../protocol/action.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { RunMode } from '../../protocol/session.js';
import type { StageTopology } from '../../protocol/topology.js';
import { chainTopology } from './chain.js';
import { unitCost } from './costs.js';
import { ScheduleError } from './errors.js';
import { type Fault, faultInSchedule, programError, scheduleError } from './fault.js';
import { type LowerOptions, lower } from './lower.js';
import { compile } from './simulation/compile.js';
import { run, type SlotCounts } from './simulation/run.js';
import { deadlockFault } from './validate/deadlock.js';
import { findMemoryFault, type LiveLimit } from './validate/memory.js';
import { findMessageFault } from './validate/messages.js';
import { findOrderFault } from './validate/orders.js';
import { findStepFault } from './validate/steps.js';

const MINI_BATCHES = 2;

export interface ValidationLimits {
  /** Slots per channel id; channels that are not named never make a sender wait. */
  readonly slotCounts?: SlotCounts;
  readonly liveLimit?: LiveLimit;
}

export interface ScheduleValidation extends ValidationLimits, LowerOptions {
  /** Default: a chain of stages. */
  readonly topology?: StageTopology;
}

export interface ProgramValidation extends ValidationLimits {
  readonly stageCount: number;
  readonly microBatchCount: number;
  readonly workerOfStage: readonly number[];
  /** Default `train`. */
  readonly mode?: RunMode;
}

/** Throws a `ScheduleError` that marks the first fault; its `index` counts in the schedule's own orders. */
export function validateSchedule(schedule: Schedule, options: ScheduleValidation = {}): void {
  const { mode = 'train' } = options;
  checkCounts(schedule, schedule.orders.length);
  const { topology = chainTopology(schedule.stageCount) } = options;
  if (topology.stageCount !== schedule.stageCount) {
    refuse(
      `the schedule has ${schedule.stageCount} stages, the model has been cut into ${topology.stageCount}`,
    );
  }
  const refused = findOrderFault(schedule.orders, { ...schedule, training: mode === 'train' });
  if (refused !== undefined) throw scheduleError(schedule, refused, options);
  const programs = lower(schedule, topology, options);
  const found = findRunFault(programs, options);
  if (found !== undefined)
    throw scheduleError(schedule, faultInSchedule(programs[found.worker]!, found), options);
}

/** Throws a `ScheduleError` that marks the first fault; its `index` counts in the programs. */
export function validatePrograms(programs: readonly Program[], options: ProgramValidation): void {
  const { mode = 'train' } = options;
  checkCounts(options, programs.length);
  const training = mode === 'train';
  const found =
    findOrderFault(programs, { ...options, training }) ??
    (training ? findStepFault(programs, options.workerOfStage) : undefined) ??
    findRunFault(programs, options);
  if (found === undefined) return;
  throw programError(
    programs,
    found,
    options.slotCounts === undefined ? {} : { slotCounts: options.slotCounts },
  );
}

function findRunFault(
  programs: readonly Program[],
  { slotCounts, liveLimit }: ValidationLimits,
): Fault | undefined {
  const found = findMessageFault(programs);
  if (found !== undefined) return found;
  const { blocked } = run(compile(programs, unitCost), MINI_BATCHES, slotCounts);
  if (blocked.length > 0) return deadlockFault(programs, blocked);
  return liveLimit === undefined ? undefined : findMemoryFault(programs, liveLimit);
}

function checkCounts(
  plan: Pick<Schedule, 'stageCount' | 'microBatchCount' | 'workerOfStage'>,
  workerCount: number,
): void {
  const { stageCount, microBatchCount, workerOfStage } = plan;
  for (const [name, value] of Object.entries({ stageCount, microBatchCount })) {
    if (!Number.isInteger(value) || value < 1)
      refuse(`${name} must be a whole number of at least 1, got ${value}`);
  }
  if (workerOfStage.length !== stageCount) {
    refuse(`workerOfStage names a worker for ${workerOfStage.length} stages, but there are ${stageCount}`);
  }
  const stage = workerOfStage.findIndex(
    worker => !Number.isInteger(worker) || worker < 0 || worker >= workerCount,
  );
  if (stage >= 0) {
    refuse(
      `stage ${stage} is placed on worker ${workerOfStage[stage]}, but there are orders for ${workerCount} workers`,
    );
  }
  const idle = Array.from({ length: workerCount }, (_, worker) => worker).find(
    worker => !workerOfStage.includes(worker),
  );
  if (idle !== undefined) {
    refuse(
      `worker ${idle} has no stage: workers count from 0 without gaps, and [${workerOfStage.join(', ')}] leaves it out`,
    );
  }
}

/** Counts that contradict each other leave nothing to draw. */
function refuse(message: string): never {
  throw new ScheduleError(message, { fault: 'shape' });
}
