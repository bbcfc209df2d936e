/**
 * What a plan is expected to take: measured costs of its stages as plain data, and what the simulator makes of them.
 *
 * Costs are kept as lines over the rows of a micro-batch (a price of the call, and one for each row), so that a plan made for
 * one size of mini-batch says what another one takes.
 */
import type { Pass, Program } from '../../protocol/action.js';
import type { ActionCost } from './costs.js';
import { type Simulation, simulate } from './simulate.js';
import type { SlotCounts } from './simulation/run.js';

/** Time of one call over the rows of one or several micro-batches. */
export interface CallCost {
  /** For one micro-batch of `PlanCosts.microBatchRows` rows. */
  readonly ms: number;
  /** For each row more. */
  readonly msPerRow: number;
}

/** Measured times of one stage. */
export interface StageCost {
  readonly forward: CallCost;
  readonly backwardInput: CallCost;
  readonly backwardWeight: CallCost;
  /**
   * Adding gradients of the weights to those of earlier micro-batches, once for each W. Where W of several micro-batches adds up
   * its own, as it does where they are not one product, that is left out.
   */
  readonly accumulateMs: number;
  /** The optimizer's step, once a mini-batch, over what one replica steps. */
  readonly stepMs: number;
}

/** What a plan was made from. */
export interface PlanCosts {
  /** Samples of the mini-batches that were planned for. */
  readonly batchSize: number;
  /** Samples of their micro-batches. */
  readonly microBatchRows: number;
  readonly stages: readonly StageCost[];
  /** What sending over the cut behind each stage but the last takes, in either direction. */
  readonly messages: readonly CallCost[];
  /** By stage: what sending or taking one replica's share of its gradients takes. Weights are read where they are stepped. */
  readonly replicaMessageMs: readonly number[];
}

/** What a plan is expected to take; times in milliseconds. */
export interface Prediction {
  /** Samples of the mini-batches that this is for. */
  readonly rows: number;
  /** From one mini-batch to the next, once the pipeline has filled. */
  readonly periodMs: number;
  /** One mini-batch alone, from its first start to its last end. */
  readonly makespanMs: number;
  /** Idle time of all workers / (workers × period). */
  readonly bubbleFraction: number;
  readonly workers: readonly WorkerPrediction[];
}

/** What one worker is expected to do in a period. */
export interface WorkerPrediction {
  /** Time in actions of any kind, in milliseconds. */
  readonly busyMs: number;
  /** The rest of the period / period. */
  readonly bubbleFraction: number;
  /** Most micro-batches whose activations are kept at once. */
  readonly peakLive: number;
}

/** A message that carries nothing: 10 µs to send, 40 to take and to make tensors of a few weights. */
const SIGNAL_MS = 0.025;

/** Mini-batches that are simulated: the period is that of the second half, when the pipeline has filled. */
const SIMULATED_COUNT = 8;

/**
 * Prices actions by a plan's costs. Stages beyond those that costs are known of are copies of them on other samples.
 *
 * @param microBatchRows rows of each micro-batch; those that were planned for by default. A micro-batch that is not there is free
 */
export function actionCostOf(costs: PlanCosts, microBatchRows?: readonly number[]): ActionCost {
  const { stages, messages, replicaMessageMs } = costs;
  const priceOf = ({ ms, msPerRow }: CallCost, microBatches: readonly number[]): number => {
    if (microBatchRows === undefined) {
      return ms + msPerRow * costs.microBatchRows * (microBatches.length - 1);
    }
    const rows = microBatches.reduce((sum, microBatch) => sum + (microBatchRows[microBatch] ?? 0), 0);
    return rows === 0 ? 0 : Math.max(0, ms + msPerRow * (rows - costs.microBatchRows));
  };
  const isThere = (microBatch: number): boolean =>
    microBatchRows === undefined || (microBatchRows[microBatch] ?? 0) > 0;
  const replicaExchangeMs = (pass: Pass, stage: number): number | undefined => {
    if (pass === 'replica-weight') return SIGNAL_MS;
    return pass === 'replica-gradient' ? replicaMessageMs[stage]! : undefined;
  };
  /** Schedules take micro-batches in order: the gradients of the first one are where the sums begin. */
  const accumulationOf = ({ accumulateMs }: StageCost, microBatches: readonly number[]): number =>
    microBatches.includes(0) || !microBatches.some(isThere) ? 0 : accumulateMs;
  return action => {
    const stage = action.stage % stages.length;
    switch (action.kind) {
      case 'forward':
      case 'recompute':
        return priceOf(stages[stage]!.forward, action.microBatches);
      case 'backwardInput':
        return priceOf(stages[stage]!.backwardInput, action.microBatches);
      case 'backwardWeight':
        return (
          priceOf(stages[stage]!.backwardWeight, action.microBatches) +
          accumulationOf(stages[stage]!, action.microBatches)
        );
      case 'step':
        return stages[stage]!.stepMs;
      case 'send': {
        const exchangeMs = replicaExchangeMs(action.pass, stage);
        if (exchangeMs !== undefined) return exchangeMs;
        // An activation crosses the cut behind its stage, a gradient the one before.
        const message = messages[action.pass === 'backward' ? stage - 1 : stage];
        return message === undefined ? 0 : priceOf(message, action.microBatches);
      }
      case 'receive':
        // Others are read where they lie.
        return replicaExchangeMs(action.pass, stage) ?? 0;
    }
  };
}

/** Time from one mini-batch to the next, once the pipeline has filled; in the unit of `cost`. */
export function steadyPeriod(
  programs: readonly Program[],
  cost: ActionCost,
  slotCounts?: SlotCounts,
): { readonly period: number; readonly simulation: Simulation } {
  const run = (miniBatchCount: number): Simulation =>
    simulate(programs, { cost, miniBatchCount, ...(slotCounts && { slotCounts }) });
  const half = SIMULATED_COUNT / 2;
  const simulation = run(SIMULATED_COUNT);
  return { period: (simulation.makespan - run(half).makespan) / half, simulation };
}

/**
 * Runs the simulator over several mini-batches, so that a period is told from the filling and draining around it.
 *
 * @param rows samples of a mini-batch
 * @returns the prediction, and the simulation of all those mini-batches
 */
export function predict(
  programs: readonly Program[],
  rows: number,
  cost: ActionCost,
  slotCounts?: SlotCounts,
): { readonly prediction: Prediction; readonly simulation: Simulation } {
  const { period, simulation } = steadyPeriod(programs, cost, slotCounts);
  const idleShare = (busy: number): number => (period === 0 ? 0 : Math.max(0, 1 - busy / period));
  const workers = simulation.workers.map(({ busy }, worker): WorkerPrediction => {
    const busyMs = busy / SIMULATED_COUNT;
    return {
      busyMs,
      bubbleFraction: idleShare(busyMs),
      peakLive: simulation.peakLiveOfWorker[worker]!,
    };
  });
  const prediction = {
    rows,
    periodMs: period,
    makespanMs: simulate(programs, { cost, ...(slotCounts && { slotCounts }) }).makespan,
    bubbleFraction: workers.reduce((sum, { bubbleFraction }) => sum + bubbleFraction, 0) / workers.length,
    workers,
  };
  return { prediction, simulation };
}
