/**
 * How the stages of replicas are numbered. A replica is a copy of all stages on other samples and on workers of its own; in
 * schedules, programs and channels its stages go on counting where those of the replica before end.
 */

/** A stage of one replica, as schedules and programs number it. */
export function replicaStage(replica: number, stage: number, stageCount: number): number {
  return replica * stageCount + stage;
}

/** Which stage of the model it is. */
export function modelStageOf(stage: number, stageCount: number): number {
  return stage % stageCount;
}

export function replicaOf(stage: number, stageCount: number): number {
  return Math.floor(stage / stageCount);
}

/** A worker's part of the samples: the micro-batches of its replica. */
export interface ReplicaPart {
  readonly replica: number;
  readonly replicas: number;
}
