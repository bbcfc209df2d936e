/** A plan as the driver works with it, and what planning is told. */
import type { CutModel, ModelGraph, SampleCoupling } from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { CompileSpec } from '../../protocol/stage-spec.js';
import type { PlanCosts, RecomputeMode } from '../plan/index.js';
import type { Warning } from './micro-batches.js';
import type { ProfileStore } from './profile-store.js';

export interface ModelPlan {
  readonly cut: CutModel;
  /** Worker of every stage of all replicas. */
  readonly workerOfStage: readonly number[];
  readonly replicas: number;
  /** Of a mini-batch, in each replica. */
  readonly microBatchCount: number;
  /** Of one replica. */
  readonly schedule: Schedule;
  readonly recompute: RecomputeMode;
  /** By worker, what it is estimated to hold in training with mini-batches of the option `batchSize`. See `memory.ts`. */
  readonly workerBytes: readonly number[];
  /** Measured time of every stage for one micro-batch; `undefined` where nothing was measured. */
  readonly stageMs: readonly number[] | undefined;
  /** What the plan was made from; `undefined` where nothing was measured. */
  readonly costs: PlanCosts | undefined;
  /** Whether gradients are clipped by their norm over all stages. */
  readonly globalNorm: boolean;
  /** See `SampleCoupling`. */
  readonly scalarLosses: readonly number[];
  readonly warnings: readonly Warning[];
}

/** How many pieces a mini-batch is cut into, in all replicas together. */
export function partsOf({ replicas, microBatchCount }: ModelPlan): number {
  return replicas * microBatchCount;
}

export interface PlanRequest {
  readonly graph: ModelGraph;
  readonly options: ResolvedOptions;
  readonly stageCount: number;
  readonly replicas: number;
  readonly compile: CompileSpec;
  readonly coupling: SampleCoupling;
  /** Where measured times are kept. */
  readonly profiles?: ProfileStore | undefined;
}

/** Whether two plans run the same in the same order. */
export function isSamePlan(one: ModelPlan, other: ModelPlan): boolean {
  const key = ({ cut, replicas, schedule, recompute }: ModelPlan): string =>
    JSON.stringify([
      cut.cuts,
      replicas,
      recompute,
      schedule.name,
      schedule.microBatchCount,
      schedule.workerOfStage,
    ]);
  return one === other || key(one) === key(other);
}
