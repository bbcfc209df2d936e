/** The tuner of a trainer whose plan is left to Millrace. */
import { measureCosts } from '../measure.js';
import type { PlanRequest } from '../model-plan.js';
import { obstacleToReplicas } from '../replicas.js';
import type { WorkerPool } from '../worker-pool.js';
import { replicaPlan } from './open.js';
import { predictPlans } from './stage-plans.js';
import { type Tuned, Tuner } from './tuner.js';

/** `undefined` where nothing but one plan is possible. */
export function tunerOf(
  trainer: Tuned & { readonly pool: WorkerPool },
  request: PlanRequest,
): Tuner | undefined {
  const { graph, options, coupling, optimizer } = request;
  if (obstacleToReplicas(graph, coupling) !== undefined) return undefined;
  return new Tuner({
    trainer,
    replicaPlan: replicas => replicaPlan(request, replicas),
    stagePlans: async () => {
      const costs = await measureCosts(graph, options.batchSize, optimizer, trainer.pool, request.profiles);
      return predictPlans(request, costs, trainer.pool.workerCount);
    },
  });
}
