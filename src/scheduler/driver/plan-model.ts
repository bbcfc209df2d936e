/**
 * Decides how a model is run: where it is cut, which worker holds which stage, how many micro-batches, in which order.
 * Where the partition or the number of micro-batches is `auto`, the layers are measured first, in the workers that will run
 * them.
 */

import { ConfigurationError } from '../../errors.js';
import { cutPoints, type ModelGraph } from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';
import type { Schedule } from '../../protocol/schedule.js';
import {
  MemoryLimitError,
  PartitionError,
  type PartitionProblem,
  partitionByName,
  partitionByParameters,
  partitionUniformly,
  type RecomputeMode,
  ScheduleError,
  type ScheduleKind,
  scheduleKind,
  validateSchedule,
} from '../plan/index.js';
import { assemblePlan } from './assemble-plan.js';
import { firstPlan, isOpen } from './auto/open.js';
import { predictPlans } from './auto/stage-plans.js';
import type { PredictedPlan } from './auto/tuner.js';
import { checkSavedPlan } from './check-saved-plan.js';
import { choosePlan, type PlanChoice, type PlanQuestion, plansInQuestion } from './choose-plan.js';
import { equalCosts, type MeasuredCosts, measureCosts } from './measure.js';
import { assertWithin, firstThatFits, ModelMemory } from './memory.js';
import { allowedMicroBatches } from './micro-batches.js';
import type { ModelPlan, PlanRequest } from './model-plan.js';
import { partitionProblem } from './partition-problem.js';
import { questionOf } from './plan-question.js';
import { checkReplicas } from './replicas.js';
import { type ScheduleOf, schedulesOf } from './schedules-of.js';
import type { WorkerPool } from './worker-pool.js';

/** What `auto` stands for where a pipeline is asked for. */
const AUTO_SCHEDULE = 'zero-bubble';

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
  const { schedule, plan } = options;
  if (typeof schedule === 'object') {
    const option = plan === undefined ? 'schedule' : 'plan';
    asOptionError(option, () => validateSchedule(schedule as Schedule));
  }
  if (plan !== undefined) checkSavedPlan(graph, plan);
  const most = cutPoints(graph).length + 1;
  // One worker a core: the tuner finds out what to do with them.
  if (isOpen(options))
    return { stageCount: 1, replicas: 1, workerCount: options.workers === 'auto' ? cores : options.workers };
  const replicas = options.replicas === 'auto' ? 1 : options.replicas;
  const workers = workersOfReplica(options, replicas);
  // Replicas alone are plain data parallelism.
  const coresOfReplica =
    replicas > 1 && options.stages === 'auto' ? 1 : Math.max(1, Math.floor(cores / replicas));
  const { stagesPerWorker } = kindOf(options);
  const wanted =
    typeof options.schedule === 'object'
      ? options.schedule.stageCount
      : Array.isArray(options.partition)
        ? options.partition.length + 1
        : options.stages === 'auto'
          ? stagesForWorkers(graph, options, { most, workers, cores: coresOfReplica })
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
    const busyWorkers = Math.min(coresOfReplica, Math.max(1, Math.floor(wanted / stagesPerWorker)));
    return { stageCount: wanted, replicas, workerCount: replicas * Math.min(workers ?? busyWorkers, wanted) };
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

/** As many stages as keep the workers busy; schedules that want several on each get them or nothing. */
function stagesForWorkers(
  graph: ModelGraph,
  options: ResolvedOptions,
  {
    most,
    workers,
    cores,
  }: { readonly most: number; readonly workers: number | undefined; readonly cores: number },
): number {
  const { stagesPerWorker } = kindOf(options);
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
export function checkPlan(request: Omit<PlanRequest, 'compile' | 'profiles'>): void {
  const { graph, options, stageCount, replicas, coupling } = request;
  checkReplicas(graph, replicas, coupling);
  asOptionError('partition', () => statedCuts(partitionProblem(graph), options, stageCount));
  allowedMicroBatches(graph, options, stageCount, coupling);
}

export async function planModel(request: PlanRequest, pool: WorkerPool): Promise<ModelPlan> {
  const { graph, options, stageCount, replicas, coupling } = request;
  if (isOpen(options)) return firstPlan(request, pool.workerCount) ?? planWithinLimit(request, pool);
  const { microBatchCounts, warnings } = allowedMicroBatches(graph, options, stageCount, coupling);
  const scheduleOf = schedulesFor(request, pool.workerCount);
  const { cuts, stageMs, costs, schedule, recompute } = await choose(
    request,
    microBatchCounts,
    scheduleOf,
    pool,
  );
  validateSchedule(schedule);
  return assemblePlan(request, { cuts, schedule, replicas, recompute, stageMs, costs, warnings });
}

function schedulesFor({ options, stageCount, replicas }: PlanRequest, workerCount: number): ScheduleOf {
  const { schedule } = options;
  if (typeof schedule === 'object') return () => schedule as Schedule;
  return schedulesOf(kindOf(options), stageCount, workerCount / replicas);
}

/** The plans that differ from one another in nothing but what the number of micro-batches makes of it, the best first. */
export async function plansByMicroBatches(
  request: PlanRequest,
  pool: WorkerPool,
): Promise<readonly PredictedPlan[]> {
  const { graph, options, stageCount, replicas, coupling, compile, profiles } = request;
  const { microBatchCounts, warnings } = allowedMicroBatches(graph, options, stageCount, coupling);
  const question = openQuestion(request, microBatchCounts, schedulesFor(request, pool.workerCount));
  const costs = await measureCosts(graph, options.batchSize, compile, pool, profiles);
  return plansInQuestion({ ...question, costs })
    .map(({ periodMs, ...choice }) => ({
      plan: assemblePlan(request, { ...choice, replicas, warnings }),
      predictedMs: periodMs,
    }))
    .sort((one, other) => one.predictedMs - other.predictedMs);
}

/** Where no worker has room for the whole model: stages, or more micro-batches than one, by measured times of the layers. */
async function planWithinLimit(request: PlanRequest, pool: WorkerPool): Promise<ModelPlan> {
  const { graph, options, compile, profiles } = request;
  const predict = (costs: MeasuredCosts): readonly PredictedPlan[] =>
    asOptionError('partition', () => predictPlans(request, costs, pool.workerCount), options);
  // Refused at once, since measuring takes seconds.
  predict(equalCosts(graph));
  const [best] = predict(await measureCosts(graph, options.batchSize, compile, pool, profiles));
  return best!.plan;
}

/** Measures only where something is left to decide. */
async function choose(
  request: PlanRequest,
  microBatchCounts: readonly number[],
  scheduleOf: ScheduleOf,
  pool: WorkerPool,
): Promise<Pick<PlanChoice, 'cuts' | 'schedule' | 'recompute'> & Pick<ModelPlan, 'stageMs' | 'costs'>> {
  const { graph, options, replicas, compile, profiles } = request;
  const { batchSize, memoryLimit } = options;
  const question = openQuestion(request, microBatchCounts, scheduleOf);
  const { memory, statedCuts: stated, recomputeModes: modes } = question;
  const needsCost = typeof options.schedule !== 'object' && kindOf(options).usesCost;
  if (stated !== undefined && microBatchCounts.length === 1 && !needsCost) {
    const schedule = scheduleOf(microBatchCounts[0]!);
    const residents = { replicas, batchSize, schedule };
    const fits = (recompute: RecomputeMode): RecomputeMode => {
      assertWithin(memory.workerBytes(stated, { ...residents, recompute }), memoryLimit);
      return recompute;
    };
    const recompute = asOptionError('partition', () => firstThatFits(modes, fits), options);
    return { cuts: stated, schedule, recompute, ...savedTimes(options) };
  }
  const chooseBy = (costs: MeasuredCosts): PlanChoice =>
    asOptionError('partition', () => choosePlan({ ...question, costs }), options);
  // Refused at once, since measuring takes seconds, unless the order of work, and so what is live, depends on times.
  if (memoryLimit !== undefined && !needsCost) chooseBy(equalCosts(graph));
  return chooseBy(await measureCosts(graph, batchSize, compile, pool, profiles));
}

/** The question that the user's options leave open. */
function openQuestion(
  request: PlanRequest,
  microBatchCounts: readonly number[],
  scheduleOf: ScheduleOf,
): Omit<PlanQuestion, 'costs'> {
  const { graph, options, stageCount, compile } = request;
  const problem = partitionProblem(graph);
  return questionOf(request, {
    problem,
    memory: new ModelMemory(graph, compile.optimizer),
    statedCuts: asOptionError('partition', () => statedCuts(problem, options, stageCount)),
    microBatchCounts,
    scheduleOf,
  });
}

/** What was measured when the plan was made. */
function savedTimes({ plan }: ResolvedOptions): Pick<ModelPlan, 'stageMs' | 'costs'> {
  const stageMs = plan?.stages.flatMap(({ predictedMs }) => predictedMs ?? []);
  return {
    stageMs: stageMs?.length === plan?.stages.length ? stageMs : undefined,
    costs: plan?.costs,
  };
}

/** Cuts that need no measuring; `undefined` where `partition` is 'auto'. */
function statedCuts(
  problem: PartitionProblem,
  options: ResolvedOptions,
  stageCount: number,
): readonly number[] | undefined {
  if (options.plan !== undefined) return options.plan.cuts;
  if (Array.isArray(options.partition)) return partitionByName(problem, options.partition);
  if (options.partition === 'uniform') return partitionUniformly(problem, stageCount);
  if (options.partition === 'parameters') return partitionByParameters(problem, stageCount);
  return stageCount === 1 ? [] : undefined;
}

function asOptionError<T>(
  option: string,
  plan: () => T,
  { memoryLimit }: Pick<ResolvedOptions, 'memoryLimit'> = { memoryLimit: undefined },
): T {
  try {
    return plan();
  } catch (error) {
    if (error instanceof MemoryLimitError) {
      throw new ConfigurationError(
        'memoryLimit',
        `Option 'memoryLimit' is ${memoryLimit} bytes a worker, but the least that this plan was found to need is ` +
          `${error.leastBytes}. Allow so much, or use more stages on more workers, more micro-batches, or recompute 'auto'.`,
        { cause: error },
      );
    }
    if (!(error instanceof PartitionError || error instanceof ScheduleError)) throw error;
    throw new ConfigurationError(option, `Option '${option}': ${error.message}`, { cause: error });
  }
}
