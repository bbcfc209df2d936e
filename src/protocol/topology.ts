/** How stages hang together, as far as schedules, programs and channels need to know. */

/** Tensors flow from one stage to a later one; several tensors between the same two stages share one edge. */
export interface StageEdge {
  readonly from: number;
  readonly to: number;
  /** Whether gradients flow back: false where nothing at or above the sender can be trained. */
  readonly gradient: boolean;
}

/** A weight that two stages have a copy of: `owner` steps it, `user` sends gradients and gets it back. */
export interface StageTie {
  readonly owner: number;
  readonly user: number;
}

export interface StageTopology {
  readonly stageCount: number;
  /** Sorted by `from`, then `to`; `from < to`; at most one edge a pair. */
  readonly edges: readonly StageEdge[];
  /** Stages that the driver feeds with model inputs, targets or sample weights, ascending. */
  readonly fedStages: readonly number[];
  /** Stages that own model outputs, ascending: they send them to the driver when predicting. */
  readonly outputStages: readonly number[];
  /** Sorted by `owner`, then `user`; `owner < user`; at most one tie a pair. Default: none. */
  readonly ties?: readonly StageTie[];
  /**
   * Between the same stage of two replicas: `owner` steps a share of the weights, `user` sends gradients for it and is told
   * when to read the weights. Most replicas are both to each other. Sorted by `owner`, then `user`. Default: none.
   */
  readonly replicaTies?: readonly StageTie[];
}
