/** What `trainer.events$` tells: typed, in the order in which it happened, with times in milliseconds. */

import type { StageError } from '../../errors.js';
import type { Action } from '../../protocol/action.js';

/** One action of one worker as it really ran. Times are on the process's monotonic clock. */
export interface ActionRecord {
  readonly action: Action;
  readonly worker: number;
  readonly startMs: number;
  readonly endMs: number;
}

/** Something that goes on, but that its user should know of; where it happened, as far as that is known. */
export interface WarningEvent extends WarningPlace {
  readonly kind: 'warning';
  readonly code: string;
  readonly message: string;
}

/** Where a warning belongs, as far as that is known. */
export interface WarningPlace {
  readonly epoch?: number;
  /** Index of the mini-batch in its epoch. */
  readonly batch?: number;
  /** Mini-batches since the trainer was made. */
  readonly step?: number;
  readonly stage?: number;
  /** Name of a model output. */
  readonly output?: string;
}

export type Warn = (code: string, message: string, place?: WarningPlace) => void;

/** What happened, told apart by `kind`: a `switch` over it narrows the rest. */
export type TrainerEvent =
  | WarningEvent
  | {
      readonly kind: 'train-begin';
      readonly epochs: number;
      /** Not known of a dataset that does not tell its size. */
      readonly stepsPerEpoch: number | undefined;
      /** Samples of an epoch; not known of a dataset. */
      readonly samples: number | undefined;
    }
  | { readonly kind: 'epoch-begin'; readonly epoch: number }
  | {
      readonly kind: 'step';
      readonly epoch: number;
      /** Index of the mini-batch in its epoch. */
      readonly batch: number;
      /** Mini-batches since the trainer was made. */
      readonly step: number;
      readonly rows: number;
      /** Loss and metrics by tfjs's names. */
      readonly logs: Readonly<Record<string, number>>;
      readonly actions: readonly ActionRecord[];
    }
  | { readonly kind: 'epoch-end'; readonly epoch: number; readonly logs: Readonly<Record<string, number>> }
  | { readonly kind: 'train-end'; readonly stopped: boolean }
  /** Training ended early by an abort, by something that a callback or a dataset threw, or by a refusal. */
  | { readonly kind: 'aborted'; readonly error: unknown }
  | { readonly kind: 'failure'; readonly error: StageError };
