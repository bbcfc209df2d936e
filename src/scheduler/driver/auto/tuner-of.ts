/** The tuner of a trainer whose plan is left to Millrace, as a whole or but for its stages. */
import { compiled, hasReadableSlots, isBatchNorm } from '../../../tfjs/internals.js';
import { findLayer } from '../find-layer.js';
import { measureCosts } from '../measure.js';
import { allowedMicroBatches } from '../micro-batches.js';
import type { PlanRequest } from '../model-plan.js';
import { plansByMicroBatches } from '../plan-model.js';
import { obstacleToReplicas } from '../replicas.js';
import type { WorkerPool } from '../worker-pool.js';
import { isOpen, replicaPlan } from './open.js';
import { predictPlans } from './stage-plans.js';
import { type Tuned, Tuner } from './tuner.js';

/**
 * @param isMeasured whether the layers were measured for the plan that training begins with
 * @returns `undefined` where no other plan may be tried
 */
export function tunerOf(
  trainer: Tuned & { readonly pool: WorkerPool },
  request: PlanRequest,
  isMeasured: boolean,
): Tuner | undefined {
  if (!canChangePlans(request)) return undefined;
  if (isOpen(request.options)) return openTuner(trainer, request);
  if (!leavesMicroBatches(request)) return undefined;
  return new Tuner({
    trainer,
    replicaPlan: () => undefined,
    ...(isMeasured && { worthPredictingMs: 0 }),
    stagePlans: () => plansByMicroBatches(request, trainer.pool),
  });
}

/** The tuner of a trainer for which nothing is asked. */
export function openTuner(trainer: Tuned & { readonly pool: WorkerPool }, request: PlanRequest): Tuner {
  const { graph, options, compile } = request;
  return new Tuner({
    trainer,
    replicaPlan: replicas => replicaPlan(request, replicas),
    stagePlans: async () => {
      const costs = await measureCosts(graph, options.batchSize, compile, trainer.pool, request.profiles);
      return predictPlans(request, costs, trainer.pool.workerCount);
    },
  });
}

/**
 * Whether training may go on under another plan: its parts must train what plain `fit` trains, and it goes on with the slots that
 * the wrapped model's optimizer holds.
 */
function canChangePlans({ graph, coupling }: PlanRequest): boolean {
  return (
    obstacleToReplicas(graph, coupling) === undefined && hasReadableSlots(compiled(graph.model).optimizer_!)
  );
}

/**
 * Whether several numbers of micro-batches train the same. With batch norm they do not: its user has agreed to statistics of parts, but
 * not to parts whose size changes on the way.
 */
function leavesMicroBatches({ graph, options, stageCount, coupling }: PlanRequest): boolean {
  if (stageCount === 1 || findLayer(graph, isBatchNorm) !== undefined) return false;
  return allowedMicroBatches(graph, options, stageCount, coupling).microBatchCounts.length > 1;
}
