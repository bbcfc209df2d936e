/** What `parallel()` takes and gives: trials and their results. */
import type * as tf from '@tensorflow/tfjs';
import type { PipelineOptions } from '../pipeline-options.js';
import type { UserDataset } from '../scheduler/driver/data/dataset.js';
import type { UserTensors } from '../scheduler/driver/data/tensors.js';
import type { FitArgs, FitDatasetArgs } from '../scheduler/driver/fit/index.js';

/** Samples in memory, as `fit` takes them. */
export interface TrialTensors {
  /** Inputs, one sample a row. */
  readonly x: UserTensors;
  /** Targets. */
  readonly y: UserTensors;
}

interface CommonTrial {
  /** For results and progress. Default `trial 0`, `trial 1`, … in the order in which trials are taken. */
  readonly name?: string | undefined;
  /** A compiled model, or a function that makes one when the trial's turn has come. */
  readonly model: tf.LayersModel | (() => tf.LayersModel | Promise<tf.LayersModel>);
  /** Called once when the trial is over, however it ended: the place to dispose tensors that were made for it alone. */
  readonly dispose?: (() => void) | undefined;
}

/** What a trial on tensors takes: the arguments of `fit`, and options of its pipeline. Its `signal` cancels it alone. */
export interface TrialFitArgs extends Omit<FitArgs, 'verbose'> {
  /**
   * As for `pipeline()`; what is not said here is as in `pipeline` of the options of `parallel()`. `workers` is what the trial
   * takes of the cores, 1 by default.
   */
  pipeline?: PipelineOptions;
}

/** The same for a trial on a dataset: the arguments of `fitDataset`. */
export interface TrialFitDatasetArgs extends Omit<FitDatasetArgs, 'verbose'> {
  /** As in `TrialFitArgs`. */
  pipeline?: PipelineOptions;
}

/** A training on tensors, as `fit` does it. */
export interface TensorTrial extends CommonTrial {
  /** Samples, or a function that makes them when the trial's turn has come. They stay the caller's. */
  readonly data: TrialTensors | (() => TrialTensors | Promise<TrialTensors>);
  readonly options?: TrialFitArgs | undefined;
}

/** A training on a dataset, as `fitDataset` does it. */
export interface DatasetTrial extends CommonTrial {
  /** As for `fitDataset`: a function is called anew for every epoch. */
  readonly data: UserDataset;
  readonly options: TrialFitDatasetArgs;
}

/** One training among others: which model, on which data, and how. */
export type Trial = TensorTrial | DatasetTrial;

/** Where trials come from. A function is called at every subscription; a generator object can be gone through once. */
export type Trials =
  | Iterable<Trial, unknown, unknown>
  | AsyncIterable<Trial, unknown, unknown>
  | (() => Iterable<Trial, unknown, unknown> | AsyncIterable<Trial, unknown, unknown>);

interface EndedTrial {
  /** Place in the order in which trials were taken, from 0. */
  readonly index: number;
  readonly name: string;
  /** From when the trial had its cores until it gave them back; 0 for one that never had any. */
  readonly durationMs: number;
}

/** A trial that went to its end. */
export interface CompletedTrial extends EndedTrial {
  readonly status: 'completed';
  /** What `fit` returned. */
  readonly history: tf.History;
  /** The trained model. It is the caller's, also where a function has made it. */
  readonly model: tf.LayersModel;
}

/** A trial that broke off: its model, data or options cannot be used, a layer threw, its worker died. */
export interface FailedTrial extends EndedTrial {
  readonly status: 'failed';
  readonly error: Error;
  /** The caller's, with the weights of the last epoch that ended; `undefined` where there was none yet. */
  readonly model: tf.LayersModel | undefined;
}

/** A trial that a signal has ended, or kept from beginning. */
export interface CancelledTrial extends EndedTrial {
  readonly status: 'cancelled';
  /** The caller's, with the weights that it had by then; `undefined` where there was none yet. */
  readonly model: tf.LayersModel | undefined;
}

/** How a trial ended, told apart by `status`. */
export type TrialResult = CompletedTrial | FailedTrial | CancelledTrial;
