/** A schedule: which worker computes what, in which order, for one mini-batch. Data, never code. */
import type { ComputeAction } from './action.js';

/** Who computes what in which order, for one mini-batch. */
export interface Schedule {
  readonly name: string;
  readonly stageCount: number;
  readonly microBatchCount: number;
  /** Worker index of every stage; a worker may hold several stages. */
  readonly workerOfStage: readonly number[];
  /** Ordered compute actions of every worker. */
  readonly orders: readonly (readonly ComputeAction[])[];
}
