/**
 * Millrace: trains and runs an existing TensorFlow.js `LayersModel` on all the cores of a machine.
 *
 * @packageDocumentation
 */
import './io/register.js';

export { registerWasmTrainingKernels } from './backends/wasm/kernels/index.js';
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
export { type BatchArgs, PipelinedModel, pipeline } from './pipeline.js';
export type { Plan, StagePlan } from './plan.js';
export type { Action, ComputeAction } from './protocol/action.js';
export type { Schedule } from './protocol/schedule.js';
export { formatPlan } from './report/plan-table.js';
export { type ProgressOptions, showProgress } from './report/progress.js';
export type { ActionRecord, TrainerEvent } from './scheduler/driver/events.js';
export type { FitArgs } from './scheduler/driver/fit.js';
export type { UserTensors } from './scheduler/driver/user-data.js';
