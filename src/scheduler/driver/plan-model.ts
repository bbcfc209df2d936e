/**
 * Decides how a model is run: where it is cut, which worker holds which stage, how many micro-batches, in which order.
 * Where the partition or the number of micro-batches is `auto`, the layers are measured first, in the workers that will run
 * them.
 */

import { ConfigurationError } from '../../errors.js';
import {
  type CutModel,
  closedCuts,
  cutModel,
  cutPoints,
  type ModelGraph,
  type SampleCoupling,
} from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { CompileSpec } from '../../protocol/stage-spec.js';
import {
  type ActionCost,
  PartitionError,
  type PartitionProblem,
  type PartitionUnit,
  partitionByName,
  partitionByParameters,
  partitionUniformly,
  type RecomputeMode,
  ScheduleError,
  type ScheduleKind,
  scheduleKind,
  validateSchedule,
} from '../plan/index.js';
import { choosePlan, type PlanChoice } from './choose-plan.js';
import { measureCosts } from './measure.js';
import { allowedMicroBatches, type Warning } from './micro-batches.js';
import type { WorkerPool } from './worker-pool.js';

/** What `auto` stands for. */
const AUTO_SCHEDULE = 'zero-bubble';

export interface ModelPlan {
  readonly cut: CutModel;
  readonly workerOfStage: readonly number[];
  readonly microBatchCount: number;
  readonly schedule: Schedule;
  readonly recompute: RecomputeMode;
  /** Measured time of every stage for one micro-batch; `undefined` where nothing was measured. */
  readonly stageMs: readonly number[] | undefined;
  /** See `SampleCoupling`. */
  readonly scalarLosses: readonly number[];
  readonly warnings: readonly Warning[];
}

/** Stage and worker counts, known before any worker starts. Throws where the model cannot be cut so often. */
export function countStages(
  graph: ModelGraph,
  options: ResolvedOptions,
  cores: number,
): { readonly stageCount: number; readonly workerCount: number } {
  // Before anything is counted in it: its parts may contradict each other.
  const { schedule } = options;
  if (typeof schedule === 'object') asOptionError('schedule', () => validateSchedule(schedule as Schedule));
  const most = cutPoints(graph).length + 1;
  const workers = options.workers === 'auto' ? undefined : options.workers;
  const { stagesPerWorker } = kindOf(options);
  const wanted =
    typeof options.schedule === 'object'
      ? options.schedule.stageCount
      : Array.isArray(options.partition)
        ? options.partition.length + 1
        : options.stages === 'auto'
          ? stagesForWorkers(graph, options, most, cores)
          : options.stages;
  if (options.stages !== 'auto' && options.stages !== wanted) {
    throw new ConfigurationError(
      'stages',
      `Option 'stages' is ${options.stages}, but ${
        typeof options.schedule === 'object' ? 'the schedule is for' : 'the names in `partition` make'
      } ${wanted} stages. Leave one of them out.`,
    );
  }
  if (Array.isArray(options.partition) && options.partition.length + 1 !== wanted) {
    throw new ConfigurationError(
      'partition',
      `The names in option 'partition' make ${options.partition.length + 1} stages, but the schedule is for ${wanted}.`,
    );
  }
  if (wanted > most) {
    throw new ConfigurationError(
      'stages',
      `Option 'stages' asks for ${wanted} stages, but the model '${graph.model.name}' can be cut into ${most} at the most: ` +
        `it has ${graph.nodes.length} layer calls and ${most - 1} places between them where it may be cut` +
        `${graph.nodes.length > most ? ' (calls of a shared layer with a state or random numbers stay together)' : ''}.`,
    );
  }
  if (typeof options.schedule !== 'object') {
    const busyWorkers = Math.min(cores, Math.max(1, Math.floor(wanted / stagesPerWorker)));
    return { stageCount: wanted, workerCount: Math.min(workers ?? busyWorkers, wanted) };
  }
  const { microBatchCount, workerOfStage } = options.schedule;
  const workerCount = Math.max(...workerOfStage) + 1;
  checkAgainstSchedule('microBatches', options.microBatches, microBatchCount);
  checkAgainstSchedule('workers', options.workers, workerCount);
  return { stageCount: wanted, workerCount };
}

/** As many stages as keep the workers busy; schedules that want several on each get them or nothing. */
function stagesForWorkers(graph: ModelGraph, options: ResolvedOptions, most: number, cores: number): number {
  const { stagesPerWorker } = kindOf(options);
  const workers = options.workers === 'auto' ? undefined : options.workers;
  if (stagesPerWorker === 1) return Math.min(most, workers ?? cores);
  const workerCount = workers ?? Math.min(cores, Math.floor(most / stagesPerWorker));
  const leastWorkers = workers ?? Math.min(cores, 2);
  if (workerCount >= leastWorkers && stagesPerWorker * workerCount <= most)
    return stagesPerWorker * workerCount;
  throw new ConfigurationError(
    'schedule',
    `Option 'schedule' is '${options.schedule}', which wants ${stagesPerWorker} stages on each of ${leastWorkers} workers, but the ` +
      `model '${graph.model.name}' can be cut into ${most} at the most. Use fewer workers or another schedule, or say the number ` +
      "of stages in option 'stages'.",
  );
}

/** What the named schedule is made for. */
function kindOf({ schedule }: ResolvedOptions): ScheduleKind {
  return scheduleKind(typeof schedule === 'object' || schedule === 'auto' ? AUTO_SCHEDULE : schedule);
}

function checkAgainstSchedule(
  option: 'microBatches' | 'workers',
  asked: number | 'auto',
  scheduled: number,
): void {
  if (asked === 'auto' || asked === scheduled) return;
  throw new ConfigurationError(
    option,
    `Option '${option}' is ${asked}, but the schedule is for ${scheduled}. Leave one of them out.`,
  );
}

/** Everything that can be refused before a worker starts. */
export function checkPlan({ graph, options, stageCount, coupling }: Omit<PlanRequest, 'optimizer'>): void {
  asOptionError('partition', () => statedCuts(partitionProblem(graph), options, stageCount));
  allowedMicroBatches(graph, options, stageCount, coupling);
}

export interface PlanRequest {
  readonly graph: ModelGraph;
  readonly options: ResolvedOptions;
  readonly stageCount: number;
  readonly optimizer: CompileSpec['optimizer'];
  readonly coupling: SampleCoupling;
}

export async function planModel(request: PlanRequest, pool: WorkerPool): Promise<ModelPlan> {
  const { graph, options, stageCount, coupling } = request;
  const { microBatchCounts, warnings } = allowedMicroBatches(graph, options, stageCount, coupling);
  const kind = kindOf(options);
  const scheduleOf = (microBatchCount: number, cost?: ActionCost): Schedule =>
    typeof options.schedule === 'object'
      ? (options.schedule as Schedule)
      : kind.generate({
          stageCount,
          microBatchCount,
          workerOfStage: kind.place(stageCount, pool.workerCount),
          cost,
        });
  const { cuts, stageMs, schedule } = await choose(request, microBatchCounts, scheduleOf, pool);
  validateSchedule(schedule);
  return {
    cut: cutModel(graph, cuts),
    workerOfStage: schedule.workerOfStage,
    microBatchCount: schedule.microBatchCount,
    schedule,
    recompute: options.recompute,
    stageMs,
    scalarLosses: coupling.scalarLosses,
    warnings,
  };
}

/** Measures only where something is left to decide. */
async function choose(
  { graph, options, stageCount, optimizer }: PlanRequest,
  microBatchCounts: readonly number[],
  scheduleOf: (microBatchCount: number, cost?: ActionCost) => Schedule,
  pool: WorkerPool,
): Promise<Pick<PlanChoice, 'cuts' | 'schedule'> & { stageMs: readonly number[] | undefined }> {
  const problem = partitionProblem(graph);
  const stated = asOptionError('partition', () => statedCuts(problem, options, stageCount));
  const needsCost = typeof options.schedule !== 'object' && kindOf(options).usesCost;
  if (stated !== undefined && microBatchCounts.length === 1 && !needsCost) {
    return { cuts: stated, schedule: scheduleOf(microBatchCounts[0]!), stageMs: undefined };
  }
  const { batchSize } = options;
  const costs = await measureCosts(graph, batchSize, optimizer, pool);
  return asOptionError('partition', () =>
    choosePlan({
      graph,
      problem,
      statedCuts: stated,
      stageCount,
      batchSize,
      microBatchCounts,
      costs,
      scheduleOf,
    }),
  );
}

/** Cuts that need no measuring; `undefined` where `partition` is 'auto'. */
function statedCuts(
  problem: PartitionProblem,
  options: ResolvedOptions,
  stageCount: number,
): readonly number[] | undefined {
  if (Array.isArray(options.partition)) return partitionByName(problem, options.partition);
  if (options.partition === 'uniform') return partitionUniformly(problem, stageCount);
  if (options.partition === 'parameters') return partitionByParameters(problem, stageCount);
  return stageCount === 1 ? [] : undefined;
}

function partitionProblem(graph: ModelGraph): PartitionProblem {
  const units: PartitionUnit[] = graph.nodes.map(node => {
    const { name, parameterCount, nodes } = graph.layers[node.layer]!;
    return { name, layerNames: [name], parameters: nodes[0] === node.index ? parameterCount : 0 };
  });
  return { units, allowedCuts: cutPoints(graph), closedCuts: closedReasons(graph) };
}

function asOptionError<T>(option: string, plan: () => T): T {
  try {
    return plan();
  } catch (error) {
    if (!(error instanceof PartitionError || error instanceof ScheduleError)) throw error;
    throw new ConfigurationError(option, `Option '${option}': ${error.message}`, { cause: error });
  }
}

/** The positions that are closed, with the reason in words. */
function closedReasons(graph: ModelGraph): ReadonlyMap<number, string> {
  return new Map(
    [...closedCuts(graph)].map(([position, layer]) => [
      position,
      `layer '${layer}' is called on both sides, and what it keeps between its calls lives in one stage`,
    ]),
  );
}
