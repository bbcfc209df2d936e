/**
 * What the program interpreter asks of a stage. A model stage computes tensors; a null stage waits for set durations and
 * moves bytes, so that schedules can be timed without any mathematics.
 *
 * Life of a micro-batch in a stage, when training: `accept` inputs → `forward` → `emit` activations → (`recompute`) →
 * `accept` gradients → `backwardInput` → `emit` gradients → `backwardWeight`. What was accepted is released at the end of
 * `backwardWeight`; in a run without a backward pass, after the last `emit`.
 */
import type { ExchangePass, MicroBatchPass, Peer } from '../protocol/action.js';
import type { SlotView, StepDescriptor } from '../transport/index.js';
import type { ReplicaGroup } from './replica-group.js';

/** What a step is about. Its micro-batches are those of the worker's own replica. */
export interface StepInfo extends StepDescriptor {
  /** Position of their first sample in the mini-batch. */
  readonly firstSample: number;
  /** Replicas that have samples of the mini-batch: the first ones. */
  readonly activeReplicas: number;
}

export interface StageEngine {
  readonly stage: number;
  begin(info: StepInfo): void;
  /** Takes over a received slot; `release` is called once, when nothing reads the slot any more, or never after `abandon`. */
  accept(pass: MicroBatchPass, peer: Peer, microBatch: number, slot: SlotView, release: () => void): void;
  /** Writes what goes to `peer` into a claimed slot. */
  emit(pass: MicroBatchPass, peer: Peer, microBatch: number, slot: SlotView): void;
  /** Takes what another stage exchanges once a mini-batch, and releases the slot before it returns or, of a replica's gradients, in `step`. */
  acceptExchange(pass: ExchangePass, peer: number, slot: SlotView, release: () => void): void;
  emitExchange(pass: ExchangePass, peer: number, slot: SlotView): void;
  forward(microBatch: number): void;
  recompute(microBatch: number): void;
  backwardInput(microBatch: number): void;
  backwardWeight(microBatches: readonly number[]): void;
  step(): void;
  /** Adds the mini-batch's losses and metrics to the stage's place on the step board. */
  end(sums: Float64Array): void;
  /** Drops everything that a broken mini-batch left, without releasing slots. */
  abandon(): void;
  /** Ends the engine's session. Weights and optimizer live on in `BuiltStages`. */
  dispose(): void;
}

/** How an engine is set up for a session. */
export interface EngineMode {
  readonly training: boolean;
  /** Whether outputs go to the driver. */
  readonly predicting: boolean;
  /** Micro-batches whose forward pass runs again before their backward pass. */
  readonly recomputed: ReadonlySet<number>;
  /** Largest L2 norm of the gradients of all stages together. */
  readonly clipNorm?: number | undefined;
  /** The same stage in all replicas; `undefined` where there is one only. */
  readonly group?: ReplicaGroup | undefined;
  /** Whether replicas normalise each mini-batch as a whole. */
  readonly synchronisesBatchNorm?: boolean;
}

/** An error inside one layer's call, so that it can be reported with the layer's name. */
export class LayerFailure extends Error {
  readonly layer: string;

  constructor(layer: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = cause instanceof Error ? cause.name : 'Error';
    if (cause instanceof Error && cause.stack !== undefined) this.stack = cause.stack;
    this.layer = layer;
  }
}
