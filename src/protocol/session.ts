/**
 * A session: everything that one kind of run (training, evaluating or predicting, at one size of mini-batch) needs in
 * the workers. It is opened once and run many times; the arena and its channels live as long as it does.
 */
import type { ActionKind, Program } from './action.js';
import type { ChannelLayout } from './channel.js';
import type { CollectiveLayout } from './collective.js';
import type { ReplicaPart } from './replica.js';
import type { StepBoardLayout } from './step-board.js';

export type RunMode = 'train' | 'evaluate' | 'predict';

/** Of the same stage in all replicas. */
export interface ReplicaCollectives {
  readonly all: CollectiveLayout;
  /** Among the first ones alone, those that have samples of a mini-batch. */
  readonly active: CollectiveLayout;
}

export interface SessionSpec {
  readonly id: number;
  readonly mode: RunMode;
  /** The stages that the worker holds. */
  readonly stages: readonly number[];
  /** Which of the replicas the worker belongs to. */
  readonly part: ReplicaPart;
  /** The worker's own program. */
  readonly program: Program;
  /** Shared WebAssembly memory that holds the slots. */
  readonly arena: WebAssembly.Memory;
  /** The channels that the worker's program uses. */
  readonly channels: readonly ChannelLayout[];
  /** Of the worker's stages that have replicas, by stage: where these sum up small things. */
  readonly collectives: ReadonlyMap<number, ReplicaCollectives>;
  /** Whether batch normalizations of replicas see the mini-batch as a whole. */
  readonly synchronisesBatchNorm: boolean;
  readonly board: SharedArrayBuffer;
  readonly boardLayout: StepBoardLayout;
  readonly stallTimeoutMs: number;
  /** How often the worker looks at what it waits for before it sleeps. */
  readonly spinCount: number;
  /** Fills freed slots so that a use after release shows; for tests. */
  readonly poison: boolean;
  /** Largest L2 norm of the gradients of all stages together; none by default. */
  readonly clipNorm?: number;
  /** Only for the null backend. */
  readonly durations?: StageDurations;
}

/** Set times of a null stage's actions. */
export interface StageDurations {
  readonly ms: Readonly<Partial<Record<ActionKind, number>>>;
  /** Whether slots are held until the micro-batch's W, as by a stage whose tensors alias them. */
  readonly holdsSlots: boolean;
}
