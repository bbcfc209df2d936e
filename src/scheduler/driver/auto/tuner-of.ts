/** The tuner of a trainer whose plan is left to Millrace. */
import { measureCosts } from '../measure.js';
import type { PlanRequest } from '../model-plan.js';
import type { WorkerPool } from '../worker-pool.js';
import { replicaPlan } from './open.js';
import { predictPlans } from './stage-plans.js';
import { type Tuned, Tuner } from './tuner.js';

export function tunerOf(trainer: Tuned & { readonly pool: WorkerPool }, request: PlanRequest): Tuner {
  const { graph, options, optimizer } = request;
  return new Tuner({
    trainer,
    replicaPlan: replicas => replicaPlan(request, replicas),
    stagePlans: async () => {
      const costs = await measureCosts(graph, options.batchSize, optimizer, trainer.pool, request.profiles);
      return predictPlans(request, costs, trainer.pool.workerCount);
    },
  });
}
