/** What a model's plan is expected to take, from the very programs that its workers run. */
import { shareWeights } from '../../model/index.js';
import type { Program } from '../../protocol/action.js';
import {
  actionCostOf,
  lower,
  type Prediction,
  planSlots,
  predict,
  replicateSchedule,
  type Simulation,
  slotCountsOf,
  unitCost,
} from '../plan/index.js';
import type { ModelPlan } from './model-plan.js';
import { replicaTopology } from './replica-topology.js';

export interface PlanPrediction {
  readonly programs: readonly Program[];
  readonly prediction: Prediction;
  /** Of several mini-batches, one behind the other. */
  readonly simulation: Simulation;
  /** Without measured costs, F, B and W take one millisecond each: shares and shapes mean something, times do not. */
  readonly isMeasured: boolean;
}

/** @param microBatchRows rows of each micro-batch; those that were planned for by default */
export function predictPlan(plan: ModelPlan, microBatchRows?: readonly number[]): PlanPrediction {
  const { cut, costs, replicas, recompute, globalNorm } = plan;
  const topology = replicaTopology(cut, replicas, shareWeights(cut, replicas), true);
  const programs = lower(replicateSchedule(plan.schedule, replicas), topology, { recompute, globalNorm });
  const rows = microBatchRows?.reduce((sum, count) => sum + count, 0) ?? costs?.batchSize ?? 0;
  return {
    programs,
    ...predict(
      programs,
      rows,
      costs === undefined ? unitCost : actionCostOf(costs, microBatchRows),
      slotCountsOf(planSlots(programs)),
    ),
    isMeasured: costs !== undefined,
  };
}
