/**
 * Batch normalization in replicas, so that all of them keep the same running statistics.
 *
 * Normalised with the whole mini-batch they see the same statistics anyway. Where each micro-batch is normalised by itself, the
 * running statistics end where they would if one replica had gone through all micro-batches in order: each replica moves
 * them from the same start by `average ← decay·average + contribution`, and these moves are applied one after another.
 */

import type { FusedOperations } from '../../backends/index.js';
import { tf } from '../../tf.js';
import {
  type BatchNormParts,
  batchNormParts,
  type Layer,
  type LayerVariable,
  variableOf,
} from '../../tfjs/internals.js';
import {
  type BatchNormCall,
  batchNormCall,
  type FollowingActivation,
  mayBeLowered,
} from '../lowering/index.js';
import type { ReplicaGroup } from '../replica-group.js';
import type { BatchNormControl, ForwardPass } from './control.js';
import { batchNormsIn } from './layers-in.js';
import { moveAverages } from './move-averages.js';
import { synchronisedBatchNorm } from './synchronised.js';

export class ReplicatedBatchNorm implements BatchNormControl {
  readonly #layers: ReplicatedLayer[] = [];
  readonly #operations: Partial<FusedOperations>;

  /** @param operations of the backend */
  constructor(operations: Partial<FusedOperations> = {}) {
    this.#operations = operations;
  }

  take(layer: Layer): void {
    this.#layers.push(...batchNormsIn(layer).map(found => new ReplicatedLayer(found, this.#operations)));
  }

  begin(pass: ForwardPass): void {
    for (const layer of this.#layers) layer.begin(pass);
  }

  commit(group: ReplicaGroup | undefined, isSynchronised: boolean): void {
    if (group === undefined || this.#layers.length === 0) return;
    // What all replicas decide alike, or some would wait for the others for ever.
    if (!isSynchronised) this.#join(group);
    else if (group.activeCount < group.size) this.#follow(group);
    this.reset();
  }

  /** Replicas that had no samples take the statistics of the first one. */
  #follow(group: ReplicaGroup): void {
    const data = concat(this.#layers.map(layer => layer.averages()));
    group.broadcastFirst(data);
    this.#write(data);
  }

  /** Applies the moves of all replicas one after another. */
  #join(group: ReplicaGroup): void {
    const decays = this.#layers.map(layer => layer.decay);
    const moves = concat([...this.#layers.map(layer => layer.contribution()), decays]);
    const joined = concat(this.#layers.map(layer => layer.start()));
    for (const replica of group.gather(moves)) {
      let place = 0;
      for (const [index, { size }] of this.#layers.entries()) {
        const decay = replica[joined.length + index]!;
        for (const end = place + size; place < end; place++) {
          joined[place] = decay * joined[place]! + replica[place]!;
        }
      }
    }
    this.#write(joined);
  }

  #write(averages: Float32Array): void {
    let place = 0;
    for (const layer of this.#layers) {
      layer.write(averages.subarray(place, place + layer.size));
      place += layer.size;
    }
  }

  reset(): void {
    for (const layer of this.#layers) layer.reset();
  }
}

class ReplicatedLayer {
  readonly #parts: BatchNormParts;
  readonly #averages: readonly LayerVariable[];
  readonly #fused: BatchNormCall | undefined;
  #pass: ForwardPass = { counts: true, synchronised: undefined };
  /** Running statistics before the mini-batch's first forward pass; `undefined` before that. */
  #start: Float32Array | undefined;
  /** Calls that have moved them since. */
  #moves = 0;

  constructor(layer: Layer, operations: Partial<FusedOperations>) {
    this.#parts = batchNormParts(layer)!;
    this.#fused =
      operations.batchNorm !== undefined && mayBeLowered(layer)
        ? batchNormCall(layer, operations as FusedOperations)
        : undefined;
    this.#averages = [this.#parts.movingMean, this.#parts.movingVariance];
    const call = layer.call.bind(layer);
    layer.call = (inputs, kwargs) => {
      if (kwargs?.['training'] !== true) return call(inputs, kwargs);
      this.#start ??= this.averages();
      if (this.#pass.counts) this.#moves += 1;
      const input = (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor;
      const { synchronised } = this.#pass;
      if (synchronised === undefined) return call(inputs, kwargs);
      const following = kwargs['following'] as FollowingActivation | undefined;
      return this.#normalise(input, following, synchronised);
    };
  }

  #normalise(input: tf.Tensor, following: FollowingActivation | undefined, group: ReplicaGroup): tf.Tensor {
    const { axis, epsilon, gamma, beta } = this.#parts;
    const settings = { axis, epsilon, gamma: gamma?.read(), beta: beta?.read() };
    return tf.tidy(
      () =>
        this.#fused?.(input, following, own => group.gatherActive(own)) ??
        synchronisedBatchNorm(input, settings, group, (mean, variance) =>
          moveAverages(this.#parts, mean, variance),
        ),
    );
  }

  begin(pass: ForwardPass): void {
    this.#pass = pass;
  }

  /** Numbers in `averages`. */
  get size(): number {
    return this.#averages.reduce((sum, average) => sum + variableOf(average).size, 0);
  }

  /** Mean and variance as they are now. */
  averages(): Float32Array {
    return concat(this.#averages.map(average => variableOf(average).dataSync<'float32'>()));
  }

  start(): Float32Array {
    return this.#start ?? this.averages();
  }

  /** What is left of the averages that this mini-batch began with. */
  get decay(): number {
    return this.#parts.momentum ** this.#moves;
  }

  /** What the mini-batch has added to that. */
  contribution(): Float32Array {
    const { decay } = this;
    const start = this.start();
    return this.averages().map((average, place) => average - decay * start[place]!);
  }

  write(averages: Float32Array): void {
    let place = 0;
    for (const average of this.#averages) {
      const variable = variableOf(average);
      const value = tf.tensor(averages.slice(place, place + variable.size), variable.shape);
      variable.assign(value);
      value.dispose();
      place += variable.size;
    }
  }

  reset(): void {
    this.#start = undefined;
    this.#moves = 0;
  }
}

function concat(parts: readonly ArrayLike<number>[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let place = 0;
  for (const part of parts) {
    joined.set(part, place);
    place += part.length;
  }
  return joined;
}
