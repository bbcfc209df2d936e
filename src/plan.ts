/** `trainer.plan`: what runs where, as plain data for printing and for tools. */
import type { BackendChoice } from './backends/index.js';
import type { Schedule } from './protocol/schedule.js';
import type { ModelPlan } from './scheduler/driver/plan-model.js';

/** What one stage holds, and what it was measured to cost. */
export interface StagePlan {
  readonly stage: number;
  /** Index of the worker thread that holds the stage, in the first replica. */
  readonly worker: number;
  /** Names of the stage's layers, in order of their first call. */
  readonly layers: readonly string[];
  readonly parameters: number;
  /** Bytes of the stage's weights. */
  readonly weightBytes: number;
  /** Bytes per sample that enter the stage from earlier stages; open axes count as 1. */
  readonly incomingBytesPerSample: number;
  /** Measured time of one micro-batch of the profile, forward and backward; `undefined` where nothing was measured. */
  readonly predictedMs: number | undefined;
  /** Part of the predicted time of all stages, from 0 to 1. */
  readonly share: number | undefined;
}

/** What runs where. */
export interface Plan {
  readonly backend: BackendChoice['name'];
  readonly backendReason: string;
  readonly backendVersion: string;
  /** Worker threads of all replicas together. */
  readonly workers: number;
  /** Data-parallel copies of the whole pipeline. */
  readonly replicas: number;
  /** Pieces that each replica's part of a mini-batch is cut into. */
  readonly microBatches: number;
  /** Of one replica. */
  readonly schedule: Schedule;
  readonly recompute: 'never' | 'except-last' | 'always';
  readonly stages: readonly StagePlan[];
}

export function describePlan(plan: ModelPlan, backend: BackendChoice, backendVersion: string): Plan {
  const { cut, stageMs, schedule } = plan;
  const totalMs = stageMs?.reduce((sum, ms) => sum + ms, 0);
  return {
    backend: backend.name,
    backendReason: backend.reason,
    backendVersion,
    workers: new Set(plan.workerOfStage).size,
    replicas: plan.replicas,
    microBatches: plan.microBatchCount,
    schedule,
    recompute: plan.recompute,
    stages: cut.stages.map(({ index, layers }): StagePlan => {
      const described = layers.map(layer => cut.graph.layers[layer]!);
      const ms = stageMs?.[index];
      return {
        stage: index,
        worker: plan.workerOfStage[index]!,
        layers: described.map(({ name }) => name),
        parameters: described.reduce((sum, { parameterCount }) => sum + parameterCount, 0),
        weightBytes: described.reduce((sum, { weightBytes }) => sum + weightBytes, 0),
        incomingBytesPerSample: bytesPerSample(plan, index),
        predictedMs: ms,
        share: cut.stages.length === 1 ? 1 : ms === undefined ? undefined : ms / totalMs!,
      };
    }),
  };
}

/** What the stage itself receives: a value that skips it goes straight to the stages that read it. */
function bytesPerSample({ cut }: ModelPlan, stage: number): number {
  const received = cut.edges.filter(({ to }) => to === stage).flatMap(({ values }) => values);
  return received.reduce((sum, id) => {
    const { shape } = cut.graph.values[id]!;
    return (
      sum +
      shape.slice(1).reduce<number>((size, axis) => size * (axis ?? 1), 1) * Float32Array.BYTES_PER_ELEMENT
    );
  }, 0);
}
