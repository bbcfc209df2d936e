/** Puts a plan together from what was decided. */
import { cutModel } from '../../model/index.js';
import type { Schedule } from '../../protocol/schedule.js';
import { type RecomputeMode, replicateSchedule } from '../plan/index.js';
import { ModelMemory } from './memory.js';
import type { Warning } from './micro-batches.js';
import type { ModelPlan, PlanRequest } from './model-plan.js';

export interface PlanDecision extends Partial<Pick<ModelPlan, 'stageMs' | 'costs'>> {
  readonly cuts: readonly number[];
  /** Of one replica. */
  readonly schedule: Schedule;
  readonly replicas: number;
  readonly recompute: RecomputeMode;
  readonly warnings?: readonly Warning[];
}

export function assemblePlan(request: PlanRequest, decision: PlanDecision): ModelPlan {
  const { graph, options, coupling, compile } = request;
  const { cuts, schedule, replicas, recompute, stageMs, costs, warnings = [] } = decision;
  return {
    cut: cutModel(graph, cuts),
    workerOfStage: replicateSchedule(schedule, replicas).workerOfStage,
    replicas,
    microBatchCount: schedule.microBatchCount,
    schedule,
    recompute,
    workerBytes: new ModelMemory(graph, compile.optimizer).workerBytes(cuts, {
      replicas,
      batchSize: options.batchSize,
      schedule,
      recompute,
    }),
    stageMs,
    costs,
    globalNorm: options.clipNorm !== undefined,
    scalarLosses: coupling.scalarLosses,
    warnings,
  };
}
