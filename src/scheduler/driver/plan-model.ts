/**
 * Decides how a model is run: where it is cut, which worker holds which stage, how many micro-batches, in which order.
 * Where the partition or the number of micro-batches is `auto`, the layers are measured first, in the workers that will run
 * them.
 */

import { ConfigurationError } from '../../errors.js';
import { closedCuts, cutModel, cutPoints, type ModelGraph } from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';
import type { Schedule } from '../../protocol/schedule.js';
import {
  generateSchedule,
  PartitionError,
  type PartitionProblem,
  type PartitionUnit,
  partitionByName,
  partitionByParameters,
  partitionUniformly,
  place,
  replicateSchedule,
  ScheduleError,
  validateSchedule,
} from '../plan/index.js';
import { firstPlan, isOpen } from './auto/open.js';
import { choosePlan, type PlanChoice } from './choose-plan.js';
import { measureCosts } from './measure.js';
import { allowedMicroBatches } from './micro-batches.js';
import type { ModelPlan, PlanRequest } from './model-plan.js';
import { checkReplicas } from './replicas.js';
import type { WorkerPool } from './worker-pool.js';

/** What is known of a plan before any worker starts. */
export interface PlanCounts {
  /** Of one replica. */
  readonly stageCount: number;
  readonly replicas: number;
  /** Of all replicas together. */
  readonly workerCount: number;
}

/** Stage and worker counts, known before any worker starts. Throws where the model cannot be cut so often. */
export function countStages(graph: ModelGraph, options: ResolvedOptions, cores: number): PlanCounts {
  // Before anything is counted in it: its parts may contradict each other.
  const { schedule } = options;
  if (typeof schedule === 'object') asOptionError('schedule', () => validateSchedule(schedule as Schedule));
  const most = cutPoints(graph).length + 1;
  // One worker a core: the tuner finds out what to do with them.
  if (isOpen(options))
    return { stageCount: 1, replicas: 1, workerCount: options.workers === 'auto' ? cores : options.workers };
  const replicas = options.replicas === 'auto' ? 1 : options.replicas;
  const workers = workersOfReplica(options, replicas);
  const coresOfReplica = Math.max(1, Math.floor(cores / replicas));
  const wanted =
    typeof options.schedule === 'object'
      ? options.schedule.stageCount
      : Array.isArray(options.partition)
        ? options.partition.length + 1
        : options.stages === 'auto'
          ? Math.min(most, workers ?? (replicas > 1 ? 1 : cores))
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
    const ofReplica = Math.min(workers ?? coresOfReplica, wanted);
    return { stageCount: wanted, replicas, workerCount: replicas * ofReplica };
  }
  const { microBatchCount, workerOfStage } = options.schedule;
  const workerCount = replicas * (Math.max(...workerOfStage) + 1);
  checkAgainstSchedule('microBatches', options.microBatches, microBatchCount);
  checkAgainstSchedule('workers', options.workers, workerCount);
  return { stageCount: wanted, replicas, workerCount };
}

function workersOfReplica({ workers }: ResolvedOptions, replicas: number): number | undefined {
  if (workers === 'auto') return undefined;
  if (workers < replicas) {
    throw new ConfigurationError(
      'replicas',
      `Option 'replicas' is ${replicas}, but there are ${workers} workers, and every replica takes at least one. ` +
        "Ask for fewer replicas, or leave out option 'workers'.",
    );
  }
  return Math.floor(workers / replicas);
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
export function checkPlan(request: Omit<PlanRequest, 'optimizer' | 'profiles'>): void {
  const { graph, options, stageCount, replicas, coupling } = request;
  checkReplicas(graph, replicas, coupling);
  asOptionError('partition', () => statedCuts(partitionProblem(graph), options, stageCount));
  allowedMicroBatches(graph, options, stageCount, coupling);
}

export async function planModel(request: PlanRequest, pool: WorkerPool): Promise<ModelPlan> {
  const { graph, options, stageCount, replicas, coupling } = request;
  if (isOpen(options)) return firstPlan(request, pool.workerCount);
  const { microBatchCounts, warnings } = allowedMicroBatches(graph, options, stageCount, coupling);
  const scheduleOf = (microBatchCount: number): Schedule =>
    typeof options.schedule === 'object'
      ? (options.schedule as Schedule)
      : generateSchedule(options.schedule === 'auto' ? 'zero-bubble' : options.schedule, {
          stageCount,
          microBatchCount,
          workerOfStage: place(stageCount, pool.workerCount / replicas),
        });
  const { cuts, stageMs, costs, microBatchCount } = await choose(request, microBatchCounts, scheduleOf, pool);
  const schedule = scheduleOf(microBatchCount);
  validateSchedule(schedule);
  return {
    cut: cutModel(graph, cuts),
    workerOfStage: replicateSchedule(schedule, replicas).workerOfStage,
    replicas,
    microBatchCount: schedule.microBatchCount,
    schedule,
    recompute: options.recompute,
    stageMs,
    costs,
    globalNorm: options.clipNorm !== undefined,
    scalarLosses: coupling.scalarLosses,
    warnings,
  };
}

/** Measures only where something is left to decide. */
async function choose(
  { graph, options, stageCount, replicas, optimizer, profiles }: PlanRequest,
  microBatchCounts: readonly number[],
  scheduleOf: (microBatchCount: number) => Schedule,
  pool: WorkerPool,
): Promise<Pick<PlanChoice, 'cuts' | 'microBatchCount'> & Pick<ModelPlan, 'stageMs' | 'costs'>> {
  const problem = partitionProblem(graph);
  const stated = asOptionError('partition', () => statedCuts(problem, options, stageCount));
  if (stated !== undefined && microBatchCounts.length === 1) {
    return { cuts: stated, microBatchCount: microBatchCounts[0]!, stageMs: undefined, costs: undefined };
  }
  const { batchSize } = options;
  const costs = await measureCosts(graph, batchSize, optimizer, pool, profiles);
  return asOptionError('partition', () =>
    choosePlan({
      graph,
      problem,
      statedCuts: stated,
      stageCount,
      replicas,
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

export function partitionProblem(graph: ModelGraph): PartitionProblem {
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
