/**
 * What a stage needs of the engine under it, beyond tfjs's own operations: moving tensors in and out of shared memory.
 *
 * Every backend's folder holds the same files: `index.ts` with its `Backend`, and what that one needs.
 */
import type * as tf from '@tensorflow/tfjs';
import type { BackendName } from '../protocol/stage-spec.js';
import type { TensorData, TensorHeader } from '../protocol/tensor.js';
import type { FusedOperations } from './fused-operations.js';
import type { RecordParts } from './graph-parts.js';
import type { InPlaceOptimizerFactory } from './in-place-optimizer.js';

export interface Backend {
  readonly name: BackendName;
  readonly version: string;
  /**
   * Whether a tensor made by `fromSlot`, and whatever `reshape`, `slice`, `cast` or `clone` makes of it, goes on
   * reading the slot. Such a slot may be released only when all of these tensors are gone.
   */
  readonly aliasesSlots: boolean;
  /** Makes a tensor of the data in a slot; the caller disposes it. `data` must stay as it is while it is aliased. */
  fromSlot(data: TensorData, header: TensorHeader): tf.Tensor;
  /** Writes a tensor's data into a slot: one copy, complete when the call returns. The tensor stays the caller's. */
  toSlot(tensor: tf.Tensor, slot: TensorData): void;
  /** What the backend computes faster than tfjs's own kernels do; `undefined` where it has none or fusion is off. */
  readonly fused: FusedBackend | undefined;
}

/** The same mathematics as tfjs's, in fewer passes. */
export interface FusedBackend {
  readonly optimizer: InPlaceOptimizerFactory;
  /**
   * Adds `addend` to `sum` where it lies; nothing else may read the memory of `sum`, nor may `sum` have been an operand
   * of a matrix product. Both stay the caller's.
   */
  accumulateInPlace(sum: tf.Tensor, addend: tf.Tensor): void;
  /** Where one is absent, layers run tfjs's own operations. */
  readonly operations?: Partial<FusedOperations>;
  /** Runs computations that are recorded once as graphs; absent where the engine has none. */
  readonly recordParts?: RecordParts;
  /** A float32 tensor with memory of its own, where that takes less than a multiplication. The original stays the caller's. */
  copy?(tensor: tf.Tensor): tf.Tensor;
}

/** Loads a backend into the calling thread and makes it tfjs's current one. */
export type BackendLoader = () => Promise<Backend>;
