/**
 * Millrace: trains and runs an existing TensorFlow.js `LayersModel` on all the cores of a machine.
 *
 * @packageDocumentation
 */
import './io/register.js';

export {
  BackendError,
  ConfigurationError,
  MillraceError,
  ModelError,
  StageError,
  StateError,
  TrainingAbortedError,
} from './errors.js';
export { ModelFileError, type ModelFileProblem } from './io/errors.js';
export { fileSystem } from './io/file-system.js';
export type { PipelineOptions } from './options.js';
export { pipeline } from './pipeline.js';
export { PipelinedModel } from './pipelined-model.js';
export type { CandidatePlan, Plan, StagePlan } from './plan.js';
export type { LayerProfile, MicroBatchProfile, ModelProfile } from './profile.js';
export type {
  Action,
  ActionKind,
  CommunicationAction,
  ComputeAction,
  ExchangeAction,
  ExchangePass,
  MessageAction,
  MicroBatchPass,
  Pass,
  Peer,
  RecomputeAction,
  StepAction,
} from './protocol/action.js';
export type { Schedule } from './protocol/schedule.js';
export type { BackendName } from './protocol/stage-spec.js';
export { formatPlan } from './report/plan-table.js';
export { formatProfile } from './report/profile-table.js';
export { type ProgressOptions, showProgress } from './report/progress.js';
export { type TensorBoardOptions, tensorBoard } from './report/tensorboard/index.js';
export {
  type ChromeTrace,
  type ChromeTraceEvent,
  type Compared,
  type PredictedTimeline,
  Timeline,
  type TimelineComparison,
  type TimelineRun,
  type TimelineStep,
} from './report/timeline/index.js';
export type { SavedPlan } from './saved-plan.js';
export type { UserCallbacks } from './scheduler/driver/callbacks.js';
export type { UserClassWeights } from './scheduler/driver/data/class-weights.js';
export type {
  Batches,
  DatasetBatch,
  DatasetIterator,
  DatasetLike,
  UserDataset,
} from './scheduler/driver/data/dataset.js';
export type { UserSampleWeights } from './scheduler/driver/data/sample-weights.js';
export type { UserTensors } from './scheduler/driver/data/tensors.js';
export type { ActionRecord, TrainerEvent, WarningEvent, WarningPlace } from './scheduler/driver/events.js';
export type {
  BatchArgs,
  EvaluateArgs,
  EvaluateDatasetArgs,
  FitArgs,
  FitDatasetArgs,
  LearningRateQuery,
  LearningRateSchedule,
  TrainOnBatchArgs,
  ValidationTensors,
} from './scheduler/driver/fit/index.js';
export type {
  CallCost,
  PlanCosts,
  Prediction,
  StageCost,
  WorkerPrediction,
} from './scheduler/plan/index.js';
export {
  type CancelledTrial,
  type CompletedTrial,
  type DatasetTrial,
  type FailedTrial,
  type ParallelOptions,
  parallel,
  type TensorTrial,
  type Trial,
  type TrialFitArgs,
  type TrialFitDatasetArgs,
  type TrialResult,
  type Trials,
  type TrialTensors,
} from './tasks/index.js';
