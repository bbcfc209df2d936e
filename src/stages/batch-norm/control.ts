import type { Layer } from '../../tfjs/internals.js';
import type { ReplicaGroup } from '../replica-group.js';

/** One forward pass of one micro-batch. */
export interface ForwardPass {
  /** Whether it moves running statistics. The repeated pass of a recomputation does not. */
  readonly counts: boolean;
  /** Replicas to normalise with, in a training run that is to give the numbers of the whole mini-batch. */
  readonly synchronised: ReplicaGroup | undefined;
}

/** Takes charge of a stage's batch normalizations where tfjs's own way would not do. */
export interface BatchNormControl {
  /** Takes charge of every batch normalization in `layer`, which may be one or hold some. */
  take(layer: Layer): void;
  begin(pass: ForwardPass): void;
  /** Moves running statistics at the end of a mini-batch. All replicas call it. */
  commit(group: ReplicaGroup | undefined, isSynchronised: boolean): void;
  /** Forgets a mini-batch that broke off. */
  reset(): void;
}
