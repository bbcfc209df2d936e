/**
 * The end of a mini-batch in one stage: penalties, what is exchanged with other stages, clipping, the optimizer's step.
 */
import * as tf from '@tensorflow/tfjs';
import type { Backend } from '../backends/index.js';
import type { ExchangePass } from '../protocol/action.js';
import type { StageSpec } from '../protocol/stage-spec.js';
import { disposeTape, recordTape } from '../tfjs/internals.js';
import type { SlotView } from '../transport/index.js';
import { backwardInput } from './backward.js';
import type { BatchNormControl } from './batch-norm/index.js';
import type { StageLayers } from './layers.js';
import { readTensors, writeTensors } from './messages.js';
import type { StageOptimizer } from './optimizer.js';
import type { ReplicaGroup } from './replica-group.js';
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
  readonly synchronisesBatchNorm: boolean;
}

export class StageStep {
  readonly #parts: StageStepParts;
  readonly #regularized: boolean;
  /** Whether this mini-batch's gradients have their penalties and local copies. */
  #isComplete = false;
  /** Squared norm of the gradients of all stages, as far as it has been added up or received. */
  #squaredNorm: number | undefined;

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
        write(gradients.steppedWeights());
        break;
      case 'tied-gradient':
        this.#complete();
        write(gradients.ofCopies(peer));
        break;
      case 'replica-gradient':
        this.#complete();
        write(gradients.ofReplica(peer));
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

  /** Takes what `peer` owes. Nothing of it reads the slot afterwards. */
  accept(pass: ExchangePass, peer: number, slot: SlotView): void {
    const { backend } = this.#parts;
    const tensors = readTensors(backend, slot);
    this.#take(pass, peer, tensors);
    tf.dispose(tensors.filter(tensor => tensor !== undefined));
  }

  #take(pass: ExchangePass, peer: number, tensors: readonly (tf.Tensor | undefined)[]): void {
    const { gradients } = this.#parts;
    switch (pass) {
      case 'tied-gradient':
        gradients.addFromCopies(peer, tensors);
        break;
      case 'tied-weight':
        gradients.setCopies(peer, tensors);
        break;
      case 'replica-gradient':
        gradients.addFromReplica(tensors);
        break;
      case 'replica-weight':
        gradients.setFromReplica(peer, tensors);
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
  }

  run(learningRate: number): void {
    const { gradients, optimizer, batchNorm, clipNorm, group, synchronisesBatchNorm } = this.#parts;
    this.#complete();
    if (clipNorm !== undefined) {
      const norm = Math.sqrt(this.#totalSquaredNorm());
      if (norm > clipNorm) gradients.scale(clipNorm / norm);
    }
    optimizer.apply(gradients.ofEntries, learningRate);
    gradients.setLocalCopies();
    batchNorm?.commit(group, synchronisesBatchNorm);
    this.#clear();
  }

  /** Forgets a mini-batch that broke off. */
  abandon(): void {
    this.#parts.batchNorm?.reset();
    this.#clear();
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
    for (const [index, gradient] of deferred.compute().entries()) {
      if (gradient !== undefined) gradients.add(index, gradient, 0);
    }
    disposeTape(tape);
    sums.addPenalty(penalty.dataSync()[0]!);
    penalty.dispose();
  }
}

function scalarOf([tensor]: readonly (tf.Tensor | undefined)[]): number {
  return tensor!.dataSync()[0]!;
}
