/** Several trainings side by side. */
export type { ParallelOptions } from './options.js';
export { parallel } from './parallel.js';
export type {
  CancelledTrial,
  CompletedTrial,
  DatasetTrial,
  FailedTrial,
  TensorTrial,
  Trial,
  TrialFitArgs,
  TrialFitDatasetArgs,
  TrialResult,
  Trials,
  TrialTensors,
} from './trial.js';
