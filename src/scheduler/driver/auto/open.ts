/** Plans where the user has left the choice open: what is guessed before anything is measured. */
import type { ModelGraph } from '../../../model/index.js';
import type { ResolvedOptions } from '../../../options.js';
import { generateSchedule } from '../../plan/index.js';
import { assemblePlan } from '../assemble-plan.js';
import type { ModelPlan, PlanRequest } from '../model-plan.js';
import { obstacleToReplicas } from '../replicas.js';

/** Whether nothing is asked for but a number of workers and of samples. */
export function isOpen({ stages, replicas, microBatches, schedule, partition }: ResolvedOptions): boolean {
  return [stages, replicas, microBatches, schedule, partition].every(option => option === 'auto');
}

/**
 * Below so many multiplications a step, sharing the work out costs more than the work: about a millisecond on one core of a
 * machine of 2024.
 */
const WORTH_SHARING = 2e7;

/**
 * A plan to begin with: one replica a worker, for which no cut need be known, or one worker where there is little to share.
 * `undefined` where a worker has no room for the whole model.
 */
export function firstPlan(request: PlanRequest, workerCount: number): ModelPlan | undefined {
  const { graph, options } = request;
  const work = multiplicationsPerSample(graph) * options.batchSize;
  const mayShare = obstacleToReplicas(graph, request.coupling) === undefined;
  const most = mayShare ? Math.min(workerCount, options.batchSize) : 1;
  // Of several, each has a smaller part of the samples and of the optimizer's slots.
  return (work < WORTH_SHARING ? replicaPlan(request, 1) : undefined) ?? replicaPlan(request, most);
}

/** Copies of the whole model, each on a worker of its own; `undefined` where they do not keep within the memory limit. */
export function replicaPlan(request: PlanRequest, replicas: number): ModelPlan | undefined {
  const { recompute, memoryLimit } = request.options;
  const schedule = generateSchedule('zero-bubble', {
    stageCount: 1,
    microBatchCount: 1,
    workerOfStage: [0],
  });
  const plan = assemblePlan(request, {
    cuts: [],
    schedule,
    replicas,
    recompute: recompute === 'auto' ? 'never' : recompute,
  });
  return plan.workerBytes[0]! <= (memoryLimit ?? Number.POSITIVE_INFINITY) ? plan : undefined;
}

/**
 * Of a forward pass, roughly: every weight is used once at each place of its layer's input or output, whichever has more places
 * (pixels, time steps).
 */
function multiplicationsPerSample({ nodes, layers, values }: ModelGraph): number {
  const places = (ids: readonly number[]): number =>
    Math.max(
      1,
      ...ids.map(id =>
        values[id]!.shape.slice(1, -1).reduce<number>((product, axis) => product * (axis ?? 1), 1),
      ),
    );
  return nodes.reduce(
    (sum, { layer, inputs, outputs }) =>
      sum + layers[layer]!.parameterCount * places([...inputs, ...outputs]),
    0,
  );
}
