/** The tuner of a trainer whose plan is left to Millrace, as a whole or but for its stages. */
import type { ResolvedOptions } from '../../../options.js';
import { compiled, hasReadableSlots } from '../../../tfjs/internals.js';
import { measureCosts } from '../measure.js';
import type { PlanRequest } from '../model-plan.js';
import { plansByMicroBatches } from '../plan-model.js';
import { obstacleToReplicas } from '../replicas.js';
import type { WorkerPool } from '../worker-pool.js';
import { isOpen, replicaPlan } from './open.js';
import { predictPlans } from './stage-plans.js';
import { type Tuned, Tuner } from './tuner.js';

/** @returns `undefined` where no other plan may be tried */
export function tunerOf(
  trainer: Tuned & { readonly pool: WorkerPool },
  request: PlanRequest,
): Tuner | undefined {
  if (!canChangePlans(request)) return undefined;
  if (isOpen(request.options))
    return obstacleToReplicas(request.graph, request.coupling) === undefined
      ? openTuner(trainer, request)
      : undefined;
  if (!leavesMicroBatches(request.options) || request.stageCount === 1) return undefined;
  return new Tuner({
    trainer,
    replicaPlan: () => undefined,
    // The layers were measured for the plan that training begins with.
    worthPredictingMs: 0,
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

/** Another plan goes on with the slots that the wrapped model's optimizer holds. */
function canChangePlans({ graph }: PlanRequest): boolean {
  return hasReadableSlots(compiled(graph.model).optimizer_!);
}

function leavesMicroBatches({ microBatches, schedule, plan }: ResolvedOptions): boolean {
  return microBatches === 'auto' && typeof schedule !== 'object' && plan === undefined;
}
