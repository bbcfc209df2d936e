/** `trainer.plan`: what runs where, as plain data for printing and for tools. */
import type { BackendChoice } from './backends/index.js';
import type { Schedule } from './protocol/schedule.js';
import type { PlanCosts, Prediction } from './scheduler/plan/index.js';

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

/** A way to use the workers that was tried in training, or simulated with measured times of the layers. */
export interface CandidatePlan {
  readonly replicas: number;
  /** Of each replica. */
  readonly stages: number;
  readonly workers: number;
  readonly microBatches: number;
  readonly schedule: string;
  /** Simulated time of a step in milliseconds; `undefined` where the layers were not measured. */
  readonly predictedMs: number | undefined;
  /** Measured time of a step in milliseconds; `undefined` where the plan was not tried. */
  readonly measuredMs: number | undefined;
  readonly isChosen: boolean;
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
  /**
   * By worker, the bytes that it is estimated to hold in training with mini-batches of the option `batchSize`: weights,
   * gradients, the optimizer's slots and activations. The engine and its scratch space come on top.
   */
  readonly workerBytes: readonly number[];
  /** How often layers are called in the model. */
  readonly layerCalls: number;
  /** Positions between the model's layer calls, in the order in which they run, at which stages 1, 2, … begin. */
  readonly cuts: readonly number[];
  readonly stages: readonly StagePlan[];
  /** What was looked at before this plan was chosen, the fastest first; empty where the user has asked for all of it. */
  readonly candidates: readonly CandidatePlan[];
  /** Whether the choice is settled. Until then `fit` goes on trying others, as far as that pays. */
  readonly isSettled: boolean;
  /** Measured times that the plan was made from; `undefined` where nothing was measured. */
  readonly costs: PlanCosts | undefined;
  /** What the simulator makes of them; `undefined` where nothing was measured. */
  readonly prediction: Prediction | undefined;
  /** The choice as a table for people. */
  explain(): string;
}
