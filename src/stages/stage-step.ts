/**
 * The end of a mini-batch in one stage: penalties, what is exchanged with other stages, clipping, the optimizer's step.
 */

import type { Backend } from '../backends/index.js';
import type { ExchangePass } from '../protocol/action.js';
import type { StageSpec } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';
import { disposeTape, recordTape } from '../tfjs/internals.js';
import type { SlotView } from '../transport/index.js';
import { backwardInput } from './backward.js';
import type { BatchNormControl } from './batch-norm/index.js';
import type { StageLayers } from './layers.js';
import { readTensors, writeTensors } from './messages.js';
import type { StageOptimizer } from './optimizer.js';
import type { ReplicaGroup } from './replica-group.js';
import type { ReplicaWeights } from './replica-weights.js';
import type { SumsRecorder } from './sums.js';
import type { WeightGradients } from './weight-gradients.js';

export interface StageStepParts {
  readonly spec: StageSpec;
  readonly layers: StageLayers;
  readonly gradients: WeightGradients;
  readonly optimizer: StageOptimizer;
  readonly batchNorm: BatchNormControl | undefined;
  readonly backend: Backend;
  readonly sums: SumsRecorder;
  /** Largest L2 norm of the gradients of all stages together. */
  readonly clipNorm: number | undefined;
  readonly group: ReplicaGroup | undefined;
  /** `undefined` where there is one replica only. */
  readonly replicaWeights: ReplicaWeights | undefined;
  readonly synchronisesBatchNorm: boolean;
}

/** A message that is still read. */
interface HeldMessage {
  readonly tensors: readonly tf.Tensor[];
  readonly release: () => void;
}

export class StageStep {
  readonly #parts: StageStepParts;
  readonly #regularized: boolean;
  /** Whether this mini-batch's gradients have their penalties and local copies. */
  #isComplete = false;
  /** Squared norm of the gradients of all stages, as far as it has been added up or received. */
  #squaredNorm: number | undefined;
  /** What was taken and is still read. */
  readonly #held: HeldMessage[] = [];

  constructor(parts: StageStepParts) {
    this.#parts = parts;
    this.#regularized = parts.layers.regularized;
  }

  /** Writes what the stage owes to `peer`; its own last W is done by then. */
  emit(pass: ExchangePass, peer: number, slot: SlotView): void {
    const { backend, gradients } = this.#parts;
    const write = (tensors: readonly (tf.Tensor | undefined)[]): void => writeTensors(backend, slot, tensors);
    switch (pass) {
      case 'tied-weight':
        write(gradients.lentWeights(peer));
        break;
      case 'replica-weight':
        // They lie in shared memory already: the message only says so.
        write([]);
        break;
      case 'tied-gradient':
        this.#complete();
        write(gradients.ofCopies(peer));
        break;
      case 'replica-gradient':
        this.#complete();
        tf.tidy(() => write(gradients.ofReplica(peer)));
        break;
      case 'partial-norm':
        this.#complete();
        this.#writeNorm(gradients.squaredNorm(), write);
        break;
      case 'total-norm':
        this.#writeNorm(this.#totalSquaredNorm(), write);
        break;
    }
  }

  #writeNorm(squared: number, write: (tensors: readonly tf.Tensor[]) => void): void {
    tf.tidy(() => write([tf.scalar(squared)]));
  }

  /** Takes what `peer` owes, and releases the slot at once or after the step. */
  accept(pass: ExchangePass, peer: number, slot: SlotView, release: () => void): void {
    const { backend } = this.#parts;
    const taken = readTensors(backend, slot);
    const isHeld = this.#take(pass, peer, taken);
    const held = { tensors: taken.filter(tensor => tensor !== undefined), release };
    if (isHeld) this.#held.push(held);
    else letGo(held);
  }

  /** @returns whether some of the tensors are read until the step */
  #take(pass: ExchangePass, peer: number, tensors: readonly (tf.Tensor | undefined)[]): boolean {
    const { gradients, replicaWeights } = this.#parts;
    switch (pass) {
      case 'tied-gradient':
        gradients.addFromCopies(peer, tensors);
        break;
      case 'tied-weight':
        gradients.setCopies(peer, tensors);
        break;
      case 'replica-gradient':
        return gradients.addFromReplica(tensors);
      case 'replica-weight':
        replicaWeights!.take(peer);
        // Those of weights that this replica steps are set already; once more costs little, and only tied weights have any.
        gradients.setLocalCopies();
        break;
      case 'partial-norm':
        this.#squaredNorm = this.#totalSquaredNorm() + scalarOf(tensors);
        break;
      case 'total-norm':
        this.#squaredNorm = scalarOf(tensors);
        break;
    }
    return false;
  }

  run(learningRate: number): void {
    const { gradients, optimizer, batchNorm, clipNorm, group, replicaWeights, synchronisesBatchNorm } =
      this.#parts;
    this.#complete();
    if (clipNorm !== undefined) {
      const norm = Math.sqrt(this.#totalSquaredNorm());
      if (norm > clipNorm) gradients.scale(clipNorm / norm);
    }
    optimizer.apply(gradients.ofEntries(), learningRate, entry => {
      const weight = gradients.release(entry);
      if (weight !== undefined) replicaWeights?.publish(weight);
    });
    replicaWeights?.publishOthers();
    gradients.setLocalCopies();
    batchNorm?.commit(group, synchronisesBatchNorm);
    this.#clear();
    for (const held of this.#held.splice(0)) letGo(held);
  }

  /** Forgets a mini-batch that broke off, but keeps the slots, which other threads may still be in. */
  abandon(): void {
    this.#parts.batchNorm?.reset();
    this.#clear();
    for (const { tensors } of this.#held.splice(0)) tf.dispose([...tensors]);
  }

  #clear(): void {
    this.#parts.gradients.clear();
    this.#isComplete = false;
    this.#squaredNorm = undefined;
  }

  /** In the stage that adds up, or the only one, it begins with its own share. */
  #totalSquaredNorm(): number {
    this.#complete();
    this.#squaredNorm ??= this.#parts.gradients.squaredNorm();
    return this.#squaredNorm;
  }

  #complete(): void {
    if (this.#isComplete) return;
    this.#isComplete = true;
    if (this.#regularized && this.#parts.spec.replica === 0) this.#addPenalties();
    this.#parts.gradients.gatherLocalCopies();
    this.#parts.gradients.divide();
  }

  /** Weight regularizers count once a mini-batch, in one replica; their gradient joins the sums just before the step. */
  #addPenalties(): void {
    const { layers, gradients, sums } = this.#parts;
    const { result: penalty, tape } = recordTape(() => tf.keep(layers.penalty()!));
    const { deferred } = backwardInput({
      tape,
      samples: [],
      inputs: [],
      variables: gradients.variables,
      seeds: new Map([[penalty.id, tf.scalar(1)]]),
    });
    gradients.addAll([deferred], 0);
    disposeTape(tape);
    sums.addPenalty(penalty.dataSync()[0]!);
    penalty.dispose();
  }
}

/** The tensors first: they may alias the slot. */
function letGo({ tensors, release }: HeldMessage): void {
  tf.dispose([...tensors]);
  release();
}

function scalarOf([tensor]: readonly (tf.Tensor | undefined)[]): number {
  return tensor!.dataSync()[0]!;
}
