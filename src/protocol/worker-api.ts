/**
 * The control interface of a worker, called over Comlink. Calls are answered between runs, and in a run while the worker
 * waits for its next mini-batch; with one at hand it goes straight on. Data never passes here.
 *
 * Methods that can fail return `Reply`, since Comlink drops an error's class and fields.
 */
import type { Failure } from './failure.js';
import type { SessionSpec } from './session.js';
import type { SharedWeights } from './shared-weights.js';
import type { BackendName, BatchNormMode, CompileSpec, StageSpec } from './stage-spec.js';

export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure };

export interface WorkerInit {
  readonly worker: number;
  readonly backend: BackendName | 'null';
  readonly control: SharedArrayBuffer;
  /** Modules to import before any stage is built: custom layers, losses, metrics. */
  readonly setup: readonly string[];
  readonly seed: number;
  readonly batchNorm: BatchNormMode;
  /** Classes of layers whose calls may run as graphs. */
  readonly tracedLayers: readonly string[];
}

export interface WorkerInfo {
  readonly threadId: number;
  readonly backend: string;
  readonly backendVersion: string;
}

/** A tensor's elements in shared memory: it crosses threads without a copy. */
export type TensorBytes = Uint8Array<SharedArrayBuffer>;

/** One a weight, in `StageSpec.layers[].weights` order. */
export type WeightBytes = readonly TensorBytes[];

export interface OptimizerState {
  readonly iterations: number;
  /** Slot groups (first moments, second moments, …), each with one entry for each of the stage's `optimizerEntries`. */
  readonly groups: readonly (readonly TensorBytes[])[];
}

/** Shape and element type of one model input for profiling, batch axis included. */
export interface ProfileInput {
  readonly value: number;
  readonly shape: readonly number[];
  readonly dtype: string;
}

/** Times of one node for one micro-batch, in milliseconds. */
export interface NodeProfile {
  readonly forwardMs: number;
  readonly backwardInputMs: number;
  readonly backwardWeightMs: number;
  /** Adding the gradients of the weights to those of earlier micro-batches: for each micro-batch but the first. */
  readonly accumulateMs: number;
  /** One optimizer step for the node's weights: once a mini-batch, not once a micro-batch. */
  readonly stepMs: number;
  readonly outputBytes: number;
}

export interface MemoryInfo {
  readonly tensorCount: number;
  readonly tensorBytes: number;
}

export interface WorkerApi {
  /** Makes the thread a worker of a pool. Another pool may do so later, with the same backend and set-up modules. */
  init(init: WorkerInit): Promise<Reply<WorkerInfo>>;
  /** Disposes everything that the pool has built. Returns how many tensors there are beyond those of a new worker. */
  clear(): Promise<Reply<number>>;
  /** @param shared where there are several replicas */
  build(stages: readonly StageSpec[], compile: CompileSpec, shared?: SharedWeights): Promise<Reply<void>>;
  profile(
    model: StageSpec,
    compile: CompileSpec,
    inputs: readonly ProfileInput[],
    repeats: number,
  ): Promise<Reply<readonly NodeProfile[]>>;
  /** The memory becomes the worker's. */
  writeWeights(stage: number, weights: WeightBytes): Promise<Reply<void>>;
  /** The memory is written again by the next such call. */
  readWeights(stage: number): Promise<Reply<WeightBytes>>;
  writeOptimizer(stage: number, state: OptimizerState): Promise<Reply<void>>;
  /** The memory is written again by the next such call. */
  readOptimizer(stage: number): Promise<Reply<OptimizerState>>;
  /** Forgets the optimizer's slots, where they cannot be written. */
  resetOptimizer(stage: number): Promise<Reply<void>>;
  openSession(spec: SessionSpec): Promise<Reply<void>>;
  run(session: number): Promise<Reply<void>>;
  closeSession(session: number): Promise<Reply<void>>;
  resetStates(): Promise<Reply<void>>;
  memory(): Promise<Reply<MemoryInfo>>;
  close(): Promise<void>;
}
