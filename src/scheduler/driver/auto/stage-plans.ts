/** All plans that use the workers of a machine, simulated with measured times of the layers. */
import { cutPoints } from '../../../model/index.js';
import { type ScheduleKind, scheduleKind } from '../../plan/index.js';
import { assemblePlan } from '../assemble-plan.js';
import { choosePlan } from '../choose-plan.js';
import type { MeasuredCosts } from '../measure.js';
import { ModelMemory, thoseThatFit } from '../memory.js';
import { allowedMicroBatches } from '../micro-batches.js';
import type { PlanRequest } from '../model-plan.js';
import { partitionProblem } from '../partition-problem.js';
import { recomputeModes } from '../recompute-modes.js';
import { obstacleToReplicas } from '../replicas.js';
import type { PredictedPlan } from './tuner.js';

/**
 * Schedules that are simulated, the simplest first; the others want two stages on each worker. `greedy`
 * may differ from run to run, and of the others none is ever faster.
 */
const SCHEDULES = ['zero-bubble', 'zb-v', 'interleaved'];

/**
 * What the prediction of a schedule with more stages is multiplied by before it is compared with those of simpler ones. Its messages are
 * more and its calls smaller: with two workers, steps took 2 to 28 % more than predicted, those of `zero-bubble` 0 to 31 %, and
 * the CNN of the benchmark was slower under `zb-v` by 16 % where 9 % less were predicted.
 */
const HANDICAP = 1.1;

/** Such schedules are simulated for as many stages at the most: training waits meanwhile, and beyond it takes seconds. */
const MOST_STAGES_IN_TURNS = 8;

/** How many workers are used, and for what. */
interface Shape {
  readonly replicas: number;
  /** Of each replica. */
  readonly workers: number;
}

/**
 * Of every number of replicas and stages that uses the workers, and every schedule, the best number of micro-batches; the most
 * promising plan first.
 *
 * @throws MemoryLimitError where none keeps within the memory limit
 */
export function predictPlans(
  request: PlanRequest,
  costs: MeasuredCosts,
  workerCount: number,
): readonly PredictedPlan[] {
  const { graph, options, coupling } = request;
  const most = cutPoints(graph).length + 1;
  const mayShare = obstacleToReplicas(graph, coupling) === undefined;
  const replicaCounts = Array.from({ length: mayShare ? workerCount : 1 }, (_, index) => index + 1);
  const candidates = replicaCounts
    .filter(count => count <= options.batchSize)
    .flatMap((replicas): Shape[] => {
      const stagesOf = (count: number) => Math.min(most, Math.floor(workerCount / count));
      // Of several numbers of replicas that have equally many workers each, the largest uses the machine best.
      const workers = stagesOf(replicas) > stagesOf(replicas + 1) ? stagesOf(replicas) : 1;
      return [...new Set([1, workers])].map(count => ({ replicas, workers: count }));
    })
    .flatMap(shape =>
      SCHEDULES.map(scheduleKind)
        .filter(({ stagesPerWorker }) => stagesPerWorker === 1 || isDivisible(shape, stagesPerWorker, most))
        .map(kind => ({ shape, kind })),
    );
  const memory = new ModelMemory(graph, request.compile.optimizer);
  const plans = [
    ...thoseThatFit(candidates, ({ shape, kind }) => ({
      ...predict(request, shape, kind, costs, memory),
      handicap: kind.stagesPerWorker === 1 ? 1 : HANDICAP,
    })),
  ];
  return plans
    .sort((one, other) => one.predictedMs * one.handicap - other.predictedMs * other.handicap)
    .map(({ plan, predictedMs }) => ({ plan, predictedMs }));
}

/** Whether workers that have a stage each can have several. */
function isDivisible({ workers }: Shape, stagesPerWorker: number, mostStages: number): boolean {
  return workers > 1 && stagesPerWorker * workers <= Math.min(mostStages, MOST_STAGES_IN_TURNS);
}

function predict(
  request: PlanRequest,
  { replicas, workers }: Shape,
  kind: ScheduleKind,
  costs: MeasuredCosts,
  memory: ModelMemory,
): PredictedPlan {
  const { graph, options, coupling } = request;
  const stageCount = workers * kind.stagesPerWorker;
  const workerOfStage = kind.place(stageCount, workers);
  const { microBatchCounts } = allowedMicroBatches(graph, options, stageCount, coupling);
  const { periodMs, ...choice } = choosePlan({
    graph,
    problem: partitionProblem(graph),
    statedCuts: stageCount === 1 ? [] : undefined,
    stageCount,
    replicas,
    batchSize: options.batchSize,
    microBatchCounts,
    recomputeModes: recomputeModes(graph, options, coupling),
    memory,
    memoryLimit: options.memoryLimit,
    costs,
    scheduleOf: (microBatchCount, cost) =>
      kind.generate({ stageCount, microBatchCount, workerOfStage, cost }),
  });
  return { plan: assemblePlan(request, { ...choice, replicas }), predictedMs: periodMs };
}
