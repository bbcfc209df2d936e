/** What the training methods take beside data: tfjs's arguments, a few more, and the checks of them. */
import type * as tf from '@tensorflow/tfjs';
import { ConfigurationError } from '../../../errors.js';
import type { UserCallbacks } from '../callbacks.js';
import type { UserClassWeights } from '../data/class-weights.js';
import type { UserDataset } from '../data/dataset.js';
import type { UserSampleWeights } from '../data/sample-weights.js';
import type { UserTensors } from '../data/tensors.js';
import type { LearningRateSchedule } from './learning-rate.js';

/** Validation inputs and targets, and what each sample counts in the loss. */
export type ValidationTensors =
  | readonly [UserTensors, UserTensors]
  | readonly [UserTensors, UserTensors, UserSampleWeights];

/** What both ways of fitting take. */
interface CommonFitArgs {
  /** Shows progress on stderr: 1 a bar per epoch in a terminal and lines elsewhere, 2 lines. Nothing without it. */
  verbose?: 0 | 1 | 2;
  /** One or several, as objects with hooks or as instances of tfjs's callback classes. */
  callbacks?: UserCallbacks;
  /** First epoch; training ends before the epoch of number `epochs`. */
  initialEpoch?: number;
  /** What a sample counts in the loss by its class. */
  classWeight?: UserClassWeights;
  /** How often callbacks given as objects let the event loop go on, and `onYield` is called. */
  yieldEvery?: tf.ModelFitArgs['yieldEvery'];
  /** Stops the training between two mini-batches when it fires; `fit` then rejects with a `TrainingAbortedError`. */
  signal?: AbortSignal;
  /** Ends training at the first mini-batch whose loss is NaN or infinite. */
  terminateOnNaN?: boolean;
  /** Sets the optimizer's learning rate before every mini-batch. */
  learningRateSchedule?: LearningRateSchedule;
}

/** What `fit` takes: tfjs's arguments, and `sampleWeight`, `stepsPerEpoch` and `validationSteps` that work. */
export interface FitArgs extends CommonFitArgs {
  /** Samples of a mini-batch. Default 32. */
  batchSize?: number;
  /** Default 1. */
  epochs?: number;
  /** What is evaluated after every epoch: x, y and, if wanted, sample weights. */
  validationData?: ValidationTensors;
  /** Share of the samples, taken from the end before shuffling, to validate on. */
  validationSplit?: number;
  /** Default true. */
  shuffle?: boolean;
  /** What each sample counts in the loss. */
  sampleWeight?: UserSampleWeights;
  /** Ends an epoch after so many mini-batches. */
  stepsPerEpoch?: number;
  /** Validates on so many mini-batches from the start of the validation data. */
  validationSteps?: number;
}

/** What `fitDataset` takes: tfjs's arguments. */
export interface FitDatasetArgs extends CommonFitArgs {
  /** How often to go through the dataset. */
  epochs: number;
  /** Mini-batches of an epoch; without it an epoch is one pass through the dataset. */
  batchesPerEpoch?: number;
  /** What is evaluated after every epoch: x, y and, if wanted, sample weights, or another dataset. */
  validationData?: ValidationTensors | UserDataset;
  /** Samples of a mini-batch when validating on tensors. Default 32. */
  validationBatchSize?: number;
  /** Mini-batches to validate on when that is a dataset. */
  validationBatches?: number;
}

/** What `trainOnBatch` takes beyond tfjs. */
export interface TrainOnBatchArgs {
  /** What a sample counts in the loss by its class. */
  classWeight?: UserClassWeights;
  /** What each sample counts in the loss. */
  sampleWeight?: UserSampleWeights;
}

/** What `evaluate` takes: tfjs's arguments, and `steps` and `sampleWeight` that work. */
export interface EvaluateArgs {
  /** Samples of a mini-batch. Default 32, as in tfjs. */
  batchSize?: number;
  /** Evaluates so many mini-batches from the start. */
  steps?: number;
  /** What each sample counts in the loss. */
  sampleWeight?: UserSampleWeights;
  /** Only 0: tfjs has no progress here either, and refuses 1. */
  verbose?: 0 | 1;
}

/** What `evaluateDataset` takes. */
export interface EvaluateDatasetArgs {
  /** Mini-batches to evaluate; without it the whole dataset. */
  batches?: number;
  /** Only 0: tfjs has no progress here either, and refuses 1. */
  verbose?: 0 | 1;
}

/** What `predict` takes. */
export interface BatchArgs {
  /** Samples of a mini-batch. Default 32, as in tfjs. */
  batchSize?: number;
}

/** Refuses what is no object of arguments. */
export function checkArgs(method: string, args: unknown): void {
  if (typeof args === 'object' && args !== null && !Array.isArray(args)) return;
  throw new ConfigurationError('args', `${method}() takes an object of arguments, but got ${String(args)}.`);
}

/** A whole number of at least `least`; `undefined` and `null` are left to their default. */
export function checkCount(name: string, value: number | null | undefined, least = 1): void {
  if (value === undefined || value === null || (Number.isInteger(value) && value >= least)) return;
  throw new ConfigurationError(
    name,
    `'${name}' takes a whole number of at least ${least}, but got ${String(value)}.`,
  );
}

/** Checks what both ways of fitting take. */
export function checkCommonArgs(args: CommonFitArgs): void {
  const { initialEpoch, verbose, yieldEvery, terminateOnNaN, learningRateSchedule } = args;
  checkCount('initialEpoch', initialEpoch, 0);
  checkOneOf('verbose', verbose, [0, 1, 2]);
  checkOneOf('terminateOnNaN', terminateOnNaN, [true, false]);
  if (typeof yieldEvery === 'number' ? !(yieldEvery >= 0) : !isKnownYield(yieldEvery)) {
    throw new ConfigurationError(
      'yieldEvery',
      `'yieldEvery' takes 'auto', 'batch', 'epoch', 'never' or a number of milliseconds, but got ${String(yieldEvery)}.`,
    );
  }
  if (
    learningRateSchedule !== undefined &&
    learningRateSchedule !== null &&
    typeof learningRateSchedule !== 'function'
  ) {
    throw new ConfigurationError(
      'learningRateSchedule',
      `'learningRateSchedule' takes a function that gives the learning rate, but got ${String(learningRateSchedule)}.`,
    );
  }
}

function isKnownYield(value: unknown): boolean {
  return (
    value === undefined || value === null || ['auto', 'batch', 'epoch', 'never'].includes(value as string)
  );
}

/** A value out of a list, or none. */
export function checkOneOf(name: string, value: unknown, accepted: readonly unknown[]): void {
  if (value === undefined || value === null || accepted.includes(value)) return;
  throw new ConfigurationError(name, `'${name}' takes ${accepted.join(' or ')}, but got ${String(value)}.`);
}

/** The signal, if it is one. */
export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new ConfigurationError('signal', `'signal' takes an AbortSignal, but got ${String(signal)}.`);
}
