/**
 * Chooses where to cut and how many micro-batches a mini-batch is cut into, by simulating every number that the model and its
 * user allow with measured times of the layers.
 *
 * More micro-batches shorten the filling and draining of the pipeline, and cost a call of every layer and a message each;
 * which of the two counts depends on how much one call does.
 */
import type { ModelGraph } from '../../model/index.js';
import { type Action, isExchange, type Program } from '../../protocol/action.js';
import type { Schedule } from '../../protocol/schedule.js';
import {
  type ActionCost,
  actionCostOf,
  type BalanceOptions,
  type Cuts,
  chainTopology,
  lower,
  type PlanCosts,
  partitionByTime,
  type RecomputeMode,
  refineCuts,
  replicateSchedule,
  replicateTopology,
  type StageCost,
  steadyPeriod,
} from '../plan/index.js';
import { cutBytes, type MeasuredCosts, type UnitCost, valueBytes } from './measure.js';
import { assertWithin, firstThatFits, ifItFits, type ModelMemory, thoseThatFit } from './memory.js';
import { type ModelProblem, withActivationsKept } from './partition-problem.js';
import { NO_EXCHANGE, replicaBytesOf } from './replica-bytes.js';
import type { ScheduleOf } from './schedules-of.js';
import { STEPS_IN_FLIGHT } from './session.js';

/** Moving a byte over a cut: one copy in (0.08 ms a MiB on TensorFlow) and what a message costs before, 0.11 to 0.2 ms. */
const TRANSPORT = { msPerMessage: 0.15, msPerByte: 0.08 / 2 ** 20 };

/** What a plan with more micro-batches must save, since measurements differ by that much from run to run. */
const LEAST_GAIN = 0.03;

/** What cuts that balance the stages less well must save. */
const LEAST_GAIN_OF_A_MOVE = 0.01;

/**
 * Replicas that are simulated, of more: all do the same, and each exchanges with every other, so that 64 of them took 14 seconds. Two
 * exchange with one another, in the time that each would take for all others.
 */
const MOST_SIMULATED_REPLICAS = 2;

/**
 * Micro-batches of stages, of the simulated replicas, that are simulated at the most to find better cuts for one number of micro-batches: some
 * 10 ms, and several times as long where the schedule is `greedy`.
 */
const MOST_SIMULATED = 512;

export interface PlanChoice {
  readonly cuts: Cuts;
  readonly microBatchCount: number;
  readonly schedule: Schedule;
  readonly recompute: RecomputeMode;
  /** Time of each stage for one micro-batch. */
  readonly stageMs: readonly number[];
  readonly costs: PlanCosts;
  /** Simulated time from one mini-batch to the next. */
  readonly periodMs: number;
}

export interface PlanQuestion {
  readonly graph: ModelGraph;
  readonly problem: ModelProblem;
  /** Cuts that the user has asked for. */
  readonly statedCuts: Cuts | undefined;
  readonly stageCount: number;
  readonly replicas: number;
  readonly batchSize: number;
  /** In ascending order. */
  readonly microBatchCounts: readonly number[];
  /** The cheapest first. */
  readonly recomputeModes: readonly RecomputeMode[];
  readonly memory: ModelMemory;
  /** Bytes a worker. */
  readonly memoryLimit: number | undefined;
  readonly costs: MeasuredCosts;
  readonly scheduleOf: ScheduleOf;
}

/** @throws MemoryLimitError where nothing keeps within the memory limit */
export function choosePlan(question: PlanQuestion): PlanChoice {
  const [first, ...others] = plansInQuestion(question);
  return others.reduce(
    (best, plan) => (plan.periodMs < best.periodMs * (1 - LEAST_GAIN) ? plan : best),
    first!,
  );
}

/**
 * For each number of micro-batches the best cuts, in ascending order of their number.
 *
 * @throws MemoryLimitError where nothing keeps within the memory limit
 */
export function plansInQuestion(asked: PlanQuestion): readonly PlanChoice[] {
  const { microBatchCounts, recomputeModes } = asked;
  const question = { ...asked, lowered: new Map() };
  return [
    ...thoseThatFit(microBatchCounts, count =>
      firstThatFits(recomputeModes, recompute => judge(question, count, recompute)),
    ),
  ];
}

/** With what is lowered already: that takes several times as long as simulating, which every move of a cut does once more. */
interface OpenQuestion extends PlanQuestion {
  readonly lowered: Map<Schedule, Map<RecomputeMode, readonly Program[]>>;
}

function judge(question: OpenQuestion, microBatchCount: number, recompute: RecomputeMode): PlanChoice {
  const { problem, statedCuts, stageCount, replicas } = question;
  const planAt = (cuts: Cuts) => judgeCuts(question, cuts, microBatchCount, recompute);
  if (statedCuts !== undefined) return planAt(statedCuts);
  const whole = withActivationsKept(problem, stageCount);
  // Cuts between a layer and its activation only where memory leaves no others.
  return firstThatFits([...new Set([whole, problem])], tried =>
    refineCuts(planAt(balancedCuts({ ...question, problem: tried }, microBatchCount, recompute)), {
      allowedCuts: tried.allowedCuts,
      judge: moved => ifItFits(() => planAt(moved)),
      leastGain: LEAST_GAIN_OF_A_MOVE,
      mostTrials: Math.floor(MOST_SIMULATED / (simulatedOf(replicas) * stageCount * microBatchCount)),
    }),
  );
}

function balancedCuts(question: PlanQuestion, microBatchCount: number, recompute: RecomputeMode): Cuts {
  const { graph, problem, stageCount, replicas, batchSize, costs, memory, memoryLimit } = question;
  const rows = rowsOf(question, microBatchCount);
  const unitCosts = costs.at(rows);
  const limits = (memoryLimitBytes: number): Partial<BalanceOptions> => {
    // Which micro-batches are live does not depend on times but for `greedy`, whose plan is looked at again below.
    const schedule = question.scheduleOf(microBatchCount);
    const stageBytes = memory.stageBytes({ replicas, batchSize, schedule, recompute });
    return { memoryLimitBytes, stageBytes, workerOfStage: schedule.workerOfStage };
  };
  return partitionByTime(
    {
      ...problem,
      units: problem.units.map((unit, index) => ({
        ...unit,
        ...halves(unitCosts[index]!, microBatchCount, recompute),
      })),
      cutBytes: cutBytes(graph, problem.allowedCuts, valueBytes(graph, rows)),
    },
    stageCount,
    {
      objective: 'makespan',
      // Training waits for its one micro-batch, but evaluating and predicting go on with the next mini-batch.
      microBatchCount: Math.max(microBatchCount, STEPS_IN_FLIGHT),
      transport: TRANSPORT,
      ...(memoryLimit !== undefined && limits(memoryLimit)),
    },
  ).cuts;
}

/** @throws MemoryLimitError where the plan does not keep within the memory limit */
function judgeCuts(
  question: OpenQuestion,
  cuts: Cuts,
  microBatchCount: number,
  recompute: RecomputeMode,
): PlanChoice {
  const { replicas, batchSize, memory, memoryLimit } = question;
  const rows = rowsOf(question, microBatchCount);
  const costs = planCostsOf(question, cuts, microBatchCount, rows);
  const cost = actionCostOf(costs);
  const schedule = question.scheduleOf(microBatchCount, cost);
  assertWithin(memory.workerBytes(cuts, { replicas, batchSize, schedule, recompute }), memoryLimit);
  return {
    cuts,
    microBatchCount,
    schedule,
    recompute,
    stageMs: stageCosts(question.costs.at(rows), cuts).map(stage => {
      const { forwardMs, backwardMs } = halves(stage, microBatchCount, recompute);
      return forwardMs + backwardMs;
    }),
    costs,
    periodMs: steadyPeriod(programsOf(question, schedule, recompute), amongSimulated(cost, replicas)).period,
  };
}

/** Of a micro-batch. */
function rowsOf({ batchSize, replicas }: PlanQuestion, microBatchCount: number): number {
  return Math.ceil(batchSize / (replicas * microBatchCount));
}

/** What is not done for every micro-batch is spread over them: the step of wide layers costs more than a forward pass. */
function halves(
  { forwardMs, backwardInputMs, backwardWeightMs, accumulateMs, stepMs }: UnitCost,
  microBatchCount: number,
  recompute: RecomputeMode,
): { readonly forwardMs: number; readonly backwardMs: number } {
  const againMs = recompute === 'never' ? 0 : forwardMs;
  const onceMs = (stepMs - accumulateMs) / microBatchCount;
  return { forwardMs, backwardMs: againMs + backwardInputMs + backwardWeightMs + accumulateMs + onceMs };
}

function stageCosts(units: readonly UnitCost[], cuts: Cuts): UnitCost[] {
  const bounds = [0, ...cuts, units.length];
  return bounds.slice(1).map((end, stage) =>
    units.slice(bounds[stage], end).reduce((sum, unit) => ({
      forwardMs: sum.forwardMs + unit.forwardMs,
      backwardInputMs: sum.backwardInputMs + unit.backwardInputMs,
      backwardWeightMs: sum.backwardWeightMs + unit.backwardWeightMs,
      accumulateMs: sum.accumulateMs + unit.accumulateMs,
      stepMs: sum.stepMs + unit.stepMs,
    })),
  );
}

function simulatedOf(replicas: number): number {
  return Math.min(replicas, MOST_SIMULATED_REPLICAS);
}

/** What a message between two of the simulated replicas stands for. */
function amongSimulated(cost: ActionCost, replicas: number): ActionCost {
  if (replicas === 1) return cost;
  const messages = (replicas - 1) / (simulatedOf(replicas) - 1);
  const isBetweenReplicas = (action: Action): boolean =>
    isExchange(action) && (action.pass === 'replica-gradient' || action.pass === 'replica-weight');
  return action => cost(action) * (isBetweenReplicas(action) ? messages : 1);
}

/** Of the simulated replicas. Which values cross which cuts does not matter to times: each cut is passed in one message. */
function programsOf(
  { lowered, replicas }: OpenQuestion,
  schedule: Schedule,
  recompute: RecomputeMode,
): readonly Program[] {
  const known = lowered.get(schedule) ?? new Map<RecomputeMode, readonly Program[]>();
  lowered.set(schedule, known);
  const programs = known.get(recompute) ?? lowerAll(schedule, simulatedOf(replicas), recompute);
  known.set(recompute, programs);
  return programs;
}

function lowerAll(schedule: Schedule, replicas: number, recompute: RecomputeMode): readonly Program[] {
  const { stageCount } = schedule;
  const all = Array.from({ length: replicas }, (_, replica) => replica);
  const steppers = Array.from({ length: stageCount }, () => all);
  return lower(
    replicateSchedule(schedule, replicas),
    replicateTopology(chainTopology(stageCount), replicas, steppers),
    { recompute },
  );
}

/**
 * Costs of the stages as plain data. Of several micro-batches W is priced as one call over all their rows. That is what dense
 * layers do on TensorFlow; of others it leaves out the fixed price of the further calls.
 */
function planCostsOf(
  { graph, batchSize, replicas, costs }: PlanQuestion,
  cuts: Cuts,
  microBatchCount: number,
  rows: number,
): PlanCosts {
  const [stages, doubled] = [rows, 2 * rows].map(count => stageCosts(costs.at(count), cuts));
  const bytes = valueBytes(graph, rows);
  const exchanged =
    replicas === 1 ? stages!.map(() => NO_EXCHANGE) : replicaBytesOf(graph, cuts, bytes, microBatchCount);
  const copyMs = (of: number): number => (of / replicas) * TRANSPORT.msPerByte;
  return {
    batchSize,
    microBatchRows: rows,
    stages: stages!.map((stage, index): StageCost => {
      const lineOf = (kind: keyof UnitCost) => ({
        ms: stage[kind],
        msPerRow: (doubled![index]![kind] - stage[kind]) / rows,
      });
      return {
        forward: lineOf('forwardMs'),
        backwardInput: lineOf('backwardInputMs'),
        backwardWeight: lineOf('backwardWeightMs'),
        accumulateMs: stage.accumulateMs,
        stepMs: stage.stepMs / replicas + copyMs(exchanged[index]!.weights),
      };
    }),
    messages: cutBytes(graph, cuts, bytes).map(crossing => ({
      ms: TRANSPORT.msPerMessage + crossing * TRANSPORT.msPerByte,
      msPerRow: (crossing * TRANSPORT.msPerByte) / rows,
    })),
    replicaMessageMs: exchanged.map(({ gradients }) => TRANSPORT.msPerMessage + copyMs(gradients)),
  };
}
