/** Plans as they are saved: `trainer.plan` after JSON, which the option `plan` takes back. */
import { z } from 'zod';
import type { Plan, StagePlan } from './plan.js';
import { scheduleSchema } from './scheduler/plan/index.js';

/** What the option `plan` reads of a plan. Where times are left out, nothing is predicted. */
export interface SavedPlan extends Pick<Plan, 'layerCalls' | 'cuts' | 'replicas' | 'recompute' | 'schedule'> {
  readonly stages: readonly (Pick<StagePlan, 'layers'> & Partial<Pick<StagePlan, 'predictedMs'>>)[];
  readonly costs?: Plan['costs'];
}

const count = z.int().min(1);
const ms = z.number().min(0);
const callCost = z.object({ ms, msPerRow: z.number() });

const costsSchema = z.object({
  batchSize: count,
  microBatchRows: count,
  stages: z.array(
    z.object({
      forward: callCost,
      backwardInput: callCost,
      backwardWeight: callCost,
      accumulateMs: ms,
      stepMs: ms,
    }),
  ),
  messages: z.array(callCost),
  replicaMessageMs: z.array(ms),
});

export const savedPlanSchema = z.object({
  layerCalls: count,
  cuts: z.array(count),
  replicas: count,
  recompute: z.enum(['never', 'except-last', 'always']),
  schedule: scheduleSchema,
  stages: z.array(z.object({ layers: z.array(z.string()), predictedMs: ms.optional() })).min(1),
  costs: costsSchema.optional(),
});
