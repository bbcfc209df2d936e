/**
 * Chooses where to cut and how many micro-batches a mini-batch is cut into, by simulating every number that the model and its
 * user allow with measured times of the layers.
 *
 * More micro-batches shorten the filling and draining of the pipeline, and cost a call of every layer and a message each;
 * which of the two counts depends on how much one call does.
 */
import type { ModelGraph } from '../../model/index.js';
import type { Schedule } from '../../protocol/schedule.js';
import {
  type ActionCost,
  type Cuts,
  type PartitionProblem,
  partitionByTime,
  simulateSchedule,
} from '../plan/index.js';
import { cutBytes, type MeasuredCosts, type UnitCost } from './measure.js';
import { STEPS_IN_FLIGHT } from './session.js';

/** Moving a byte over a cut: one copy in (0.08 ms a MiB on TensorFlow) and what a message costs before, 0.11 to 0.2 ms. */
const TRANSPORT = { msPerMessage: 0.15, msPerByte: 0.08 / 2 ** 20 };

/** Mini-batches that are simulated: the period is that of the second half, when the pipeline has filled. */
const SIMULATED_COUNT = 8;
/** What a plan with more micro-batches must save, since measurements differ by that much from run to run. */
const LEAST_GAIN = 0.03;

export interface PlanChoice {
  readonly cuts: Cuts;
  readonly microBatchCount: number;
  readonly schedule: Schedule;
  /** Time of each stage for one micro-batch. */
  readonly stageMs: readonly number[];
  /** Simulated time from one mini-batch to the next. */
  readonly periodMs: number;
}

export interface PlanQuestion {
  readonly graph: ModelGraph;
  readonly problem: PartitionProblem;
  /** Cuts that the user has asked for. */
  readonly statedCuts: Cuts | undefined;
  readonly stageCount: number;
  readonly batchSize: number;
  /** In ascending order. */
  readonly microBatchCounts: readonly number[];
  readonly costs: MeasuredCosts;
  readonly scheduleOf: (microBatchCount: number, cost: ActionCost) => Schedule;
}

export function choosePlan(question: PlanQuestion): PlanChoice {
  const [first, ...others] = question.microBatchCounts.map(count => judge(question, count));
  return others.reduce(
    (best, plan) => (plan.periodMs < best.periodMs * (1 - LEAST_GAIN) ? plan : best),
    first!,
  );
}

function judge(question: PlanQuestion, microBatchCount: number): PlanChoice {
  const { graph, problem, stageCount, batchSize, costs, statedCuts } = question;
  const rows = Math.ceil(batchSize / microBatchCount);
  const unitCosts = costs.at(rows);
  const cuts =
    statedCuts ??
    partitionByTime(
      {
        ...problem,
        units: problem.units.map((unit, index) => ({
          ...unit,
          ...halves(unitCosts[index]!, microBatchCount),
        })),
        cutBytes: cutBytes(graph, problem.allowedCuts, rows),
      },
      stageCount,
      {
        objective: 'makespan',
        // Training waits for its one micro-batch, but evaluating and predicting go on with the next mini-batch.
        microBatchCount: Math.max(microBatchCount, STEPS_IN_FLIGHT),
        transport: TRANSPORT,
      },
    ).cuts;
  const stages = stageCosts(unitCosts, cuts);
  const messageMs = cutBytes(graph, cuts, rows).map(
    bytes => TRANSPORT.msPerMessage + bytes * TRANSPORT.msPerByte,
  );
  // Of several micro-batches W is priced as one call over all their rows. That is what dense layers do on TensorFlow; of others
  // it leaves out the fixed price of the further calls.
  const weightMs = (stage: number, count: number): number =>
    stageCosts(costs.at(rows * count), cuts)[stage]!.backwardWeightMs;
  const cost = actionCost(stages, weightMs, messageMs);
  const schedule = question.scheduleOf(microBatchCount, cost);
  return {
    cuts,
    microBatchCount,
    schedule,
    stageMs: stages.map(stage => {
      const { forwardMs, backwardMs } = halves(stage, microBatchCount);
      return forwardMs + backwardMs;
    }),
    periodMs: steadyPeriod(schedule, cost),
  };
}

/** The optimizer's step is spread over the micro-batches: for wide layers it costs more than a forward pass. */
function halves(
  { forwardMs, backwardInputMs, backwardWeightMs, stepMs }: UnitCost,
  microBatchCount: number,
): { readonly forwardMs: number; readonly backwardMs: number } {
  return { forwardMs, backwardMs: backwardInputMs + backwardWeightMs + stepMs / microBatchCount };
}

function stageCosts(units: readonly UnitCost[], cuts: Cuts): UnitCost[] {
  const bounds = [0, ...cuts, units.length];
  return bounds.slice(1).map((end, stage) =>
    units.slice(bounds[stage], end).reduce((sum, unit) => ({
      forwardMs: sum.forwardMs + unit.forwardMs,
      backwardInputMs: sum.backwardInputMs + unit.backwardInputMs,
      backwardWeightMs: sum.backwardWeightMs + unit.backwardWeightMs,
      stepMs: sum.stepMs + unit.stepMs,
    })),
  );
}

function actionCost(
  stages: readonly UnitCost[],
  weightMs: (stage: number, microBatchCount: number) => number,
  messageMs: readonly number[],
): ActionCost {
  return action => {
    const stage = stages[action.stage]!;
    switch (action.kind) {
      case 'forward':
      case 'recompute':
        return stage.forwardMs;
      case 'backwardInput':
        return stage.backwardInputMs;
      case 'backwardWeight':
        return weightMs(action.stage, action.microBatches.length);
      case 'step':
        return stage.stepMs;
      case 'send':
        // An activation crosses the cut behind its stage, a gradient the one before.
        return messageMs[action.pass === 'backward' ? action.stage - 1 : action.stage] ?? 0;
      case 'receive':
        return 0;
    }
  };
}

function steadyPeriod(schedule: Schedule, cost: ActionCost): number {
  const makespan = (miniBatchCount: number): number =>
    simulateSchedule(schedule, { cost, miniBatchCount }).makespan;
  const half = SIMULATED_COUNT / 2;
  return (makespan(SIMULATED_COUNT) - makespan(half)) / half;
}
