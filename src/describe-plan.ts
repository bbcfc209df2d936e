/** From the driver's plan to `trainer.plan`. */
import type { BackendChoice } from './backends/index.js';
import type { CandidatePlan, Plan, StagePlan } from './plan.js';
import { formatCandidates } from './report/candidate-table.js';
import type { TriedPlan } from './scheduler/driver/auto/tuner.js';
import { isSamePlan, type ModelPlan } from './scheduler/driver/model-plan.js';
import { predictPlan } from './scheduler/driver/predict-plan.js';
import type { Prediction } from './scheduler/plan/index.js';

export interface PlanFacts {
  readonly plan: ModelPlan;
  readonly backend: BackendChoice;
  readonly backendVersion: string;
  readonly tried: readonly TriedPlan[];
  readonly isSettled: boolean;
}

export function describePlan({ plan, backend, backendVersion, tried, isSettled }: PlanFacts): Plan {
  const { cut, stageMs, schedule } = plan;
  const totalMs = stageMs?.reduce((sum, ms) => sum + ms, 0);
  const described: Omit<Plan, 'explain'> = {
    backend: backend.name,
    backendReason: backend.reason,
    backendVersion,
    workers: new Set(plan.workerOfStage).size,
    replicas: plan.replicas,
    microBatches: plan.microBatchCount,
    schedule,
    recompute: plan.recompute,
    workerBytes: plan.workerBytes,
    layerCalls: cut.graph.nodes.length,
    cuts: cut.cuts,
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
    candidates: [...tried].sort(byTime).map(candidate => describeCandidate(candidate, plan)),
    isSettled,
    costs: plan.costs,
    prediction: predictionOf(plan),
  };
  // Plain data for whoever prints or sends it.
  return Object.defineProperty({ ...described, explain: () => formatCandidates(described) }, 'explain', {
    enumerable: false,
  });
}

/** A plan is described whenever somebody looks at it, and simulated once. */
const predictions = new WeakMap<ModelPlan, Prediction>();

function predictionOf(plan: ModelPlan): Prediction | undefined {
  if (plan.costs === undefined) return undefined;
  const prediction = predictions.get(plan) ?? predictPlan(plan).prediction;
  predictions.set(plan, prediction);
  return prediction;
}

function describeCandidate({ plan, predictedMs, measuredMs }: TriedPlan, chosen: ModelPlan): CandidatePlan {
  return {
    replicas: plan.replicas,
    stages: plan.cut.stages.length,
    workers: new Set(plan.workerOfStage).size,
    microBatches: plan.microBatchCount,
    schedule: plan.schedule.name,
    predictedMs,
    measuredMs,
    isChosen: isSamePlan(plan, chosen),
  };
}

/** Measured ones first: predictions are compared with one another alone. */
function byTime(one: TriedPlan, other: TriedPlan): number {
  const rank = ({ measuredMs }: TriedPlan): number => measuredMs ?? Number.POSITIVE_INFINITY;
  if (rank(one) !== rank(other)) return rank(one) - rank(other);
  return (one.predictedMs ?? 0) - (other.predictedMs ?? 0);
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
