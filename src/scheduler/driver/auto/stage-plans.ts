/** All plans that use the workers of a machine, simulated with measured times of the layers. */
import { cutPoints } from '../../../model/index.js';
import { generateSchedule, place } from '../../plan/index.js';
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
 * Of every number of replicas and stages that uses the workers, the best number of micro-batches; the fastest plan first.
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
  const shapes = new Map<string, { readonly replicas: number; readonly stageCount: number }>();
  for (const replicas of replicaCounts.filter(count => count <= options.batchSize)) {
    for (const stageCount of new Set([1, Math.min(most, Math.floor(workerCount / replicas))])) {
      shapes.set(`${replicas} ${stageCount}`, { replicas, stageCount });
    }
  }
  const memory = new ModelMemory(graph, request.compile.optimizer);
  return [
    ...thoseThatFit([...shapes.values()], shape => predict({ ...request, ...shape }, costs, memory)),
  ].sort((one, other) => one.predictedMs - other.predictedMs);
}

function predict(request: PlanRequest, costs: MeasuredCosts, memory: ModelMemory): PredictedPlan {
  const { graph, options, stageCount, replicas, coupling } = request;
  const { microBatchCounts } = allowedMicroBatches(graph, options, stageCount, coupling);
  const scheduleOf = (microBatchCount: number) =>
    generateSchedule('zero-bubble', {
      stageCount,
      microBatchCount,
      workerOfStage: place(stageCount, stageCount),
    });
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
    scheduleOf,
  });
  return { plan: assemblePlan(request, { ...choice, replicas }), predictedMs: periodMs };
}
