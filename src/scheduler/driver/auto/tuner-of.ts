/** The tuner of a trainer whose plan is left to Millrace. */
import { compiled, hasReadableSlots } from '../../../tfjs/internals.js';
import { measureCosts } from '../measure.js';
import type { PlanRequest } from '../model-plan.js';
import { obstacleToReplicas } from '../replicas.js';
import type { WorkerPool } from '../worker-pool.js';
import { replicaPlan } from './open.js';
import { predictPlans } from './stage-plans.js';
import { type Tuned, Tuner } from './tuner.js';

export function tunerOf(trainer: Tuned & { readonly pool: WorkerPool }, request: PlanRequest): Tuner {
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
 * Whether any other plan may be tried in training: replicas and stages must train what plain `fit` trains, and another plan goes
 * on with the slots that the wrapped model's optimizer holds.
 */
export function isTunable({ graph, coupling }: PlanRequest): boolean {
  return (
    obstacleToReplicas(graph, coupling) === undefined && hasReadableSlots(compiled(graph.model).optimizer_!)
  );
}
