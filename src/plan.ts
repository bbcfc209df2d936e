/** `trainer.plan`: what runs where, as plain data for printing and for tools. */
import type { BackendChoice } from './backends/index.js';
import type { Schedule } from './protocol/schedule.js';
import type { ModelPlan } from './scheduler/driver/plan-model.js';
import { predictPlan } from './scheduler/driver/predict-plan.js';
import type { PlanCosts, Prediction } from './scheduler/plan/index.js';

/** What one stage holds, and what it was measured to cost. */
export interface StagePlan {
  readonly stage: number;
  /** Index of the worker thread that holds the stage. */
  readonly worker: number;
  /** Names of the stage's layers, in order of their first call. */
  readonly layers: readonly string[];
  readonly parameters: number;
  /** Bytes of the stage's weights. */
  readonly weightBytes: number;
  /** Bytes per sample that enter the stage from earlier stages; open axes count as 1. */
  readonly incomingBytesPerSample: number;
  /**
   * Bytes per sample that the stage's layers read and make, which are kept from a micro-batch's forward pass to the last of its
   * backward pass; open axes count as 1. What layers keep inside them comes on top.
   */
  readonly activationBytesPerSample: number;
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
  readonly workers: number;
  readonly microBatches: number;
  readonly schedule: Schedule;
  readonly recompute: 'never' | 'except-last' | 'always';
  readonly stages: readonly StagePlan[];
  /** Measured times that the plan was made from; `undefined` where nothing was left to decide, so nothing was measured. */
  readonly costs: PlanCosts | undefined;
  /** What the simulator makes of them; `undefined` where nothing was measured. */
  readonly prediction: Prediction | undefined;
}

export function describePlan(plan: ModelPlan, backend: BackendChoice, backendVersion: string): Plan {
  const { cut, stageMs, schedule } = plan;
  const totalMs = stageMs?.reduce((sum, ms) => sum + ms, 0);
  return {
    backend: backend.name,
    backendReason: backend.reason,
    backendVersion,
    workers: new Set(plan.workerOfStage).size,
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
        incomingBytesPerSample: incomingBytes(plan, index),
        activationBytesPerSample: activationBytes(plan, index),
        predictedMs: ms,
        share: cut.stages.length === 1 ? 1 : ms === undefined ? undefined : ms / totalMs!,
      };
    }),
    costs: plan.costs,
    prediction: plan.costs && predictPlan(plan).prediction,
  };
}

/** What the stage itself receives: a value that skips it goes straight to the stages that read it. */
function incomingBytes({ cut }: ModelPlan, stage: number): number {
  return bytesPerSample(
    cut,
    cut.edges.filter(({ to }) => to === stage).flatMap(({ values }) => values),
  );
}

function activationBytes({ cut }: ModelPlan, stage: number): number {
  const nodes = cut.stages[stage]!.nodes.map(index => cut.graph.nodes[index]!);
  return bytesPerSample(cut, new Set(nodes.flatMap(({ inputs, outputs }) => [...inputs, ...outputs])));
}

function bytesPerSample({ graph }: ModelPlan['cut'], values: Iterable<number>): number {
  let bytes = 0;
  for (const id of values) {
    const { shape } = graph.values[id]!;
    bytes += shape
      .slice(1)
      .reduce<number>((size, axis) => size * (axis ?? 1), Float32Array.BYTES_PER_ELEMENT);
  }
  return bytes;
}
