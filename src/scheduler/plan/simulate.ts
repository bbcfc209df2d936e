/**
 * Simulates programs: when each action starts and ends, given what each costs.
 *
 * It reads the very lists that the workers execute, and waits where they wait: for messages and for slots. It does not
 * model cores that are shared by several workers, nor a driver that is slower than the stages.
 */
import type { Program } from '../../protocol/action.js';
import type { ChannelEnds } from '../../protocol/channel.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { StageTopology } from '../../protocol/topology.js';
import { chainTopology } from './chain.js';
import { type ActionCost, unitCost } from './costs.js';
import { programError } from './fault.js';
import { type LowerOptions, lowerEach } from './lower.js';
import { type Compiled, compile } from './simulation/compile.js';
import { peakLive } from './simulation/live.js';
import { type RunResult, run, type SlotCounts } from './simulation/run.js';
import { deadlockFault } from './validate/deadlock.js';

export interface SimulationOptions {
  /** Default: unit costs. */
  readonly cost?: ActionCost;
  /** Slots per channel id; channels that are not named never make a sender wait. */
  readonly slotCounts?: SlotCounts;
  /** How many mini-batches run back to back. Default 1. */
  readonly miniBatchCount?: number;
}

export interface WorkerUse {
  /** Time in actions of any kind. */
  readonly busy: number;
  /** The rest of the makespan. */
  readonly idle: number;
  /** idle / makespan; 0 for an empty makespan. */
  readonly bubbleFraction: number;
}

export interface ChannelUse extends ChannelEnds {
  readonly id: string;
  /** Messages per mini-batch. */
  readonly messageCount: number;
  /**
   * Most slots in use at once, from the start of a send to the end of the receiver's last use of that micro-batch.
   * Messages of the driver count from their receive on.
   */
  readonly peakOccupancy: number;
}

export interface Simulation {
  /** What was simulated; the positions in `times` refer to it. Of a schedule, they are lowered anew when they are first asked for. */
  readonly programs: readonly Program[];
  /** From the first start to the last end. */
  readonly makespan: number;
  readonly workers: readonly WorkerUse[];
  /** Idle time of all workers / (workers × makespan), as GPipe counts it. */
  readonly bubbleFraction: number;
  /** Most micro-batches that are live at once, from the start of F to the end of W (of F if nothing is trained). */
  readonly peakLiveOfStage: readonly number[];
  /** The same, summed over the stages of a worker. */
  readonly peakLiveOfWorker: readonly number[];
  readonly channels: readonly ChannelUse[];
  /** Per worker, start and end of every action, at position `miniBatch × program.length + index`. */
  readonly times: readonly { readonly start: Float64Array; readonly end: Float64Array }[];
}

/** Simulates a schedule as it would be lowered; over a chain of stages if no topology is given. */
export function simulateSchedule(
  schedule: Schedule,
  options: SimulationOptions & LowerOptions & { readonly topology?: StageTopology } = {},
): Simulation {
  const topology = options.topology ?? chainTopology(schedule.stageCount);
  return simulateLowered(
    { lowered: () => lowerEach(schedule, topology, options), orders: schedule.orders },
    options,
  );
}

/** Throws a `ScheduleError` if the programs deadlock. */
export function simulate(programs: readonly Program[], options: SimulationOptions = {}): Simulation {
  return simulateLowered({ lowered: () => programs, orders: programs }, options);
}

/** Programs that are made when they are looked at, since those of a large schedule take more memory than its simulation. */
interface ProgramSource {
  lowered(): Iterable<Program>;
  /** Their compute actions, whatever else stands between them. */
  readonly orders: readonly Program[];
}

function simulateLowered(source: ProgramSource, options: SimulationOptions): Simulation {
  const { cost = unitCost, slotCounts, miniBatchCount = 1 } = options;
  const compiled = compile(source.lowered(), cost);
  const result = run(compiled, miniBatchCount, slotCounts);
  if (result.blocked.length > 0) {
    const programs = [...source.lowered()];
    throw programError(
      programs,
      deadlockFault(programs, result.blocked),
      slotCounts === undefined ? {} : { slotCounts },
    );
  }
  return summarize(source, compiled, result, miniBatchCount);
}

function summarize(
  source: ProgramSource,
  compiled: Compiled,
  result: RunResult,
  miniBatchCount: number,
): Simulation {
  const first = result.start.reduce(
    (least, start) => Math.min(least, start[0] ?? least),
    Number.POSITIVE_INFINITY,
  );
  const last = result.end.reduce((most, end) => Math.max(most, end.at(-1) ?? 0), 0);
  const makespan = Math.max(0, last - first);
  const workers = compiled.programs.map(({ duration }): WorkerUse => {
    const busy = duration.reduce((sum, value) => sum + value, 0) * miniBatchCount;
    const idle = makespan - busy;
    return { busy, idle, bubbleFraction: makespan === 0 ? 0 : idle / makespan };
  });
  const idle = workers.reduce((sum, worker) => sum + worker.idle, 0);
  const live = peakLive(source.orders);
  let programs: readonly Program[] | undefined;
  return {
    get programs() {
      programs ??= [...source.lowered()];
      return programs;
    },
    makespan,
    workers,
    bubbleFraction: makespan === 0 ? 0 : idle / (workers.length * makespan),
    peakLiveOfStage: live.ofStage,
    peakLiveOfWorker: live.ofWorker,
    channels: compiled.channels.map(({ id, from, to, pass, messageCount }, index) => ({
      id,
      from,
      to,
      pass,
      messageCount,
      peakOccupancy: result.peakOccupancy[index]!,
    })),
    times: result.start.map((start, worker) => ({ start, end: result.end[worker]! })),
  };
}
