/** Training: on tensors in memory, on a dataset, on one mini-batch. */
export type {
  BatchArgs,
  EvaluateArgs,
  EvaluateDatasetArgs,
  FitArgs,
  FitDatasetArgs,
  TrainOnBatchArgs,
  ValidationTensors,
} from './args.js';
export { checkArgs, checkCount, checkOneOf, checkSignal } from './args.js';
export { fitDataset, fitTensors } from './fit.js';
export type { LearningRateQuery, LearningRateSchedule } from './learning-rate.js';
export type { FitContext } from './loop.js';
export { trainOnBatch } from './train-on-batch.js';
export { evaluateDatasetOf, firstSteps } from './validation.js';
