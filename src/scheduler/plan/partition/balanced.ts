/**
 * Cuts a model by measured time.
 *
 * A stage takes, per micro-batch, the forward and backward time of its units plus the transport it does itself: it
 * writes the activation of the cut behind it and the gradient of the cut before it, and what it reads lies in
 * shared memory already.
 *
 * Two objectives, both solved exactly over the allowed cuts:
 * - `bottleneck`: the slowest stage, which sets the throughput of a full pipeline (PipeDream's planner).
 * - `makespan`: Σ stages + (m − 1) · slowest stage, the length of one mini-batch of m micro-batches through stages of
 *   different speed. It counts for few micro-batches, where a cut that costs much transport is paid
 *   in every stage of the fill.
 */
import { checkProblem, MemoryLimitError, PartitionError } from './errors.js';
import { blockBounds, prefixSums } from './evenly.js';
import { leastMakespan } from './makespan.js';
import type { Cuts, MeasuredProblem, MeasuredUnit } from './problem.js';
import { leastBottleneck, leastSum, type Segmentation, type SegmentCost } from './segments.js';
import { type Judged, leastWithinWorkers } from './worker-memory.js';

export interface TransportCost {
  /** Fixed price of one message. */
  readonly msPerMessage: number;
  readonly msPerByte: number;
}

/** Bytes of units `first` … `end − 1` as a stage. */
export interface StageBytes {
  of(first: number, end: number, stage: number): number;
  /** At most `of`, for this `first` and every smaller one. */
  floor(first: number, end: number, stage: number): number;
}

export interface BalanceOptions {
  /** Default `bottleneck`. */
  readonly objective?: 'bottleneck' | 'makespan';
  /** For `makespan` and for memory. Default 1. */
  readonly microBatchCount?: number;
  /** Default: free. */
  readonly transport?: TransportCost;
  /**
   * Most bytes that the stages of a worker may hold together, each at its own peak: one number for all workers, or one for
   * each. Default: no limit.
   */
  readonly memoryLimitBytes?: number | readonly number[] | undefined;
  /** Worker of every stage, for the memory limit. Default: each has its own. */
  readonly workerOfStage?: readonly number[] | undefined;
  /** What a stage holds, where sums over its units do not tell: it is asked then, not the units. */
  readonly stageBytes?: StageBytes | undefined;
  /** Live micro-batches of a stage at its peak; `peakLive(schedule.orders).ofStage` has them. Default: 1F1B's min(m, stageCount − stage). */
  readonly liveMicroBatches?: ((stage: number) => number) | undefined;
}

export interface BalancedPartition {
  readonly cuts: Cuts;
  /** Time of each stage per micro-batch, its transport included. */
  readonly stageMs: readonly number[];
  readonly bottleneckMs: number;
  /** Σ stages + (m − 1) · slowest stage. */
  readonly makespanMs: number;
  /** Segments that the search looked at. */
  readonly operationCount: number;
}

export function partitionByTime(
  problem: MeasuredProblem,
  stageCount: number,
  options: BalanceOptions = {},
): BalancedPartition {
  checkProblem(problem, stageCount);
  checkMeasures(problem);
  const { objective = 'bottleneck', microBatchCount = 1 } = options;
  const bounds = blockBounds(problem);
  const blockCount = bounds.length - 1;
  const boundaryMs = boundaryTimes(problem, options.transport);
  const time = stageTime(problem.units, bounds, boundaryMs);
  const memory = stageMemory(problem.units, bounds, stageCount, options);
  const limits = workerLimits(stageCount, options);
  const cost = withinMemory(time, memory, limits);

  const slowest = leastBottleneck(blockCount, stageCount, cost);
  if (slowest === undefined) throw tooLarge(blockCount, stageCount, memory, limits);
  const weight =
    objective === 'makespan'
      ? (first: number, end: number): number => boundaryMs[first]! + boundaryMs[end]!
      : (first: number, end: number): number => time.of(first, end, 0) ** 2;
  let found: Segmentation =
    objective === 'makespan'
      ? leastMakespan({ blockCount, stageCount, cost, boundaryMs, microBatchCount, slowest })
      : leastSum(blockCount, stageCount, cost, slowest.bottleneck, weight)!;
  // Where every stage for itself keeps within its worker's limit, the sums mostly do so too: only if not, the harder search.
  if (!keepsWithin(found, blockCount, memory, limits)) {
    const within = leastWithinWorkers({
      blockCount,
      stageCount,
      cost,
      bytes: memory,
      ...limits!,
      weight,
      compare: objective === 'makespan' ? byMakespan(microBatchCount) : byBottleneck,
    });
    if (within === undefined) throw tooLarge(blockCount, stageCount, memory, limits);
    found = within;
  }

  const starts = [0, ...found.starts, blockCount];
  const stageMs = found.starts.concat(blockCount).map((end, stage) => time.of(starts[stage]!, end, stage));
  const bottleneckMs = Math.max(...stageMs);
  return {
    cuts: found.starts.map(start => bounds[start]!),
    stageMs,
    bottleneckMs,
    makespanMs: stageMs.reduce((sum, ms) => sum + ms, 0) + (microBatchCount - 1) * bottleneckMs,
    operationCount: slowest.operationCount + found.operationCount,
  };
}

/** Time that each side of a boundary spends on it; the ends of the model have no other side. */
function boundaryTimes({ cutBytes }: MeasuredProblem, transport?: TransportCost): readonly number[] {
  const ms = (bytes: number): number =>
    transport === undefined ? 0 : transport.msPerMessage + bytes * transport.msPerByte;
  return [0, ...cutBytes.map(ms), 0];
}

function stageTime(
  units: readonly MeasuredUnit[],
  bounds: readonly number[],
  boundaryMs: readonly number[],
): SegmentCost {
  const sums = prefixSums(units.map(({ forwardMs, backwardMs }) => forwardMs + backwardMs));
  const atBound = Float64Array.from(bounds, bound => sums[bound]!);
  const boundary = Float64Array.from(boundaryMs);
  return {
    of: (first, end) => atBound[end]! - atBound[first]! + (boundary[first]! + boundary[end]!),
    floor: (first, end) => atBound[end]! - atBound[first]! + boundary[end]!,
  };
}

function stageMemory(
  units: readonly MeasuredUnit[],
  bounds: readonly number[],
  stageCount: number,
  {
    microBatchCount = 1,
    stageBytes,
    liveMicroBatches = stage => Math.min(microBatchCount, stageCount - stage),
  }: BalanceOptions,
): SegmentCost {
  if (stageBytes !== undefined) {
    return {
      of: (first, end, stage) => stageBytes.of(bounds[first]!, bounds[end]!, stage),
      floor: (first, end, stage) => stageBytes.floor(bounds[first]!, bounds[end]!, stage),
    };
  }
  const resident = prefixSums(units.map(({ residentBytes = 0 }) => residentBytes));
  const activations = prefixSums(units.map(({ activationBytes = 0 }) => activationBytes));
  const live = Array.from({ length: stageCount }, (_, stage) => liveMicroBatches(stage));
  const bytes = (first: number, end: number, stage: number): number => {
    const from = bounds[first]!;
    const to = bounds[end]!;
    return resident[to]! - resident[from]! + live[stage]! * (activations[to]! - activations[from]!);
  };
  return { of: bytes, floor: bytes };
}

interface WorkerLimits {
  readonly workerOfStage: readonly number[];
  /** By worker. */
  readonly limits: readonly number[];
}

function workerLimits(
  stageCount: number,
  {
    memoryLimitBytes,
    workerOfStage = Array.from({ length: stageCount }, (_, stage) => stage),
  }: BalanceOptions,
): WorkerLimits | undefined {
  if (memoryLimitBytes === undefined) return undefined;
  if (workerOfStage.length !== stageCount) {
    throw new PartitionError(
      `workerOfStage must name a worker for each of the ${stageCount} stages, got ${workerOfStage.length}`,
    );
  }
  const workerCount = Math.max(...workerOfStage) + 1;
  if (typeof memoryLimitBytes !== 'number' && memoryLimitBytes.length !== workerCount) {
    throw new PartitionError(
      `memoryLimitBytes must be a number, or one for each of the ${workerCount} workers, got ${memoryLimitBytes.length}`,
    );
  }
  const limits = Array.from({ length: workerCount }, (_, worker) =>
    typeof memoryLimitBytes === 'number' ? memoryLimitBytes : memoryLimitBytes[worker]!,
  );
  return { workerOfStage, limits };
}

/** A stage beyond its worker's limit costs infinitely much; so does every longer one. */
function withinMemory(
  time: SegmentCost,
  memory: SegmentCost,
  workers: WorkerLimits | undefined,
): SegmentCost {
  if (workers === undefined) return time;
  const limitOfStage = workers.workerOfStage.map(worker => workers.limits[worker]!);
  const unlessTooLarge =
    (bytes: SegmentCost['of'], ms: SegmentCost['of']): SegmentCost['of'] =>
    (first, end, stage) =>
      bytes(first, end, stage) > limitOfStage[stage]! ? Number.POSITIVE_INFINITY : ms(first, end, stage);
  return { of: unlessTooLarge(memory.of, time.of), floor: unlessTooLarge(memory.floor, time.floor) };
}

function keepsWithin(
  found: Segmentation,
  blockCount: number,
  memory: SegmentCost,
  workers: WorkerLimits | undefined,
): boolean {
  if (workers === undefined) return true;
  const used = bytesOfWorkers(found, blockCount, memory, workers);
  return used.every((bytes, worker) => bytes <= workers.limits[worker]!);
}

function bytesOfWorkers(
  { starts }: Segmentation,
  blockCount: number,
  memory: SegmentCost,
  { workerOfStage, limits }: WorkerLimits,
): readonly number[] {
  const bounds = [0, ...starts, blockCount];
  const used = limits.map(() => 0);
  for (const [stage, worker] of workerOfStage.entries())
    used[worker]! += memory.of(bounds[stage]!, bounds[stage + 1]!, stage);
  return used;
}

const byBottleneck = (one: Judged, other: Judged): number =>
  one.bottleneck - other.bottleneck || one.sum - other.sum;

/** The work inside stages is the same in every partition, so it does not count. */
const byMakespan =
  (microBatchCount: number) =>
  (one: Judged, other: Judged): number =>
    one.sum - other.sum + (microBatchCount - 1) * (one.bottleneck - other.bottleneck);

function tooLarge(
  blockCount: number,
  stageCount: number,
  memory: SegmentCost,
  workers: WorkerLimits | undefined,
): MemoryLimitError {
  const { limits, workerOfStage } = workers!;
  const remedy = 'Allow more memory, more stages, smaller micro-batches or recomputation';
  const least = leastBottleneck(blockCount, stageCount, memory)!;
  const isShared = limits.length < workerOfStage.length || new Set(limits).size > 1;
  if (isShared) {
    const allowed = [...new Set(limits)].join(', ');
    return new MemoryLimitError(
      `no cut into ${stageCount} stages keeps every worker within its limit (${allowed} bytes). ${remedy}`,
      Math.max(...bytesOfWorkers(least, blockCount, memory, workers!)),
    );
  }
  const { bottleneck } = least;
  return new MemoryLimitError(
    `no cut into ${stageCount} stages keeps every stage within ${limits[0]} bytes; the best needs ${bottleneck}. ${remedy}`,
    bottleneck,
  );
}

function checkMeasures({ units, allowedCuts, cutBytes }: MeasuredProblem): void {
  if (cutBytes.length !== allowedCuts.length) {
    throw new PartitionError(
      `cutBytes must have an entry per allowed cut: ${allowedCuts.length}, got ${cutBytes.length}`,
    );
  }
  const isMeasure = (value: number): boolean => Number.isFinite(value) && value >= 0;
  for (const { name, forwardMs, backwardMs, residentBytes = 0, activationBytes = 0 } of units) {
    for (const [field, value] of Object.entries({ forwardMs, backwardMs, residentBytes, activationBytes })) {
      if (!isMeasure(value))
        throw new PartitionError(`${field} of '${name}' must be a number of at least 0, got ${value}`);
    }
  }
}
