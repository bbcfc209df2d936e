/**
 * The weights of one stage that has replicas. Whoever steps a weight writes it into shared memory once, and all others read it
 * there: without a copy where tensors alias memory.
 *
 * Nothing is locked. A weight is written in the `step` of its stepper, behind the gradients of all replicas, which they send
 * when their last pass over the mini-batch has read their weights; and it is read by the next mini-batch, behind the
 * `replica-weight` signal. What broke off between leaves weights of two steps there, and the driver hands out all of them anew.
 *
 * A tensor that a user's layer has kept of such a weight changes with it, where tensors alias memory.
 */
import type * as tf from '@tensorflow/tfjs';
import type { Backend } from '../backends/index.js';
import { StateError } from '../errors.js';
import type { SharedWeights } from '../protocol/shared-weights.js';
import { type StageSpec, weightsSteppedBy } from '../protocol/stage-spec.js';
import { Arena } from '../transport/index.js';
import type { StageLayers } from './layers.js';

interface Place {
  readonly variable: tf.Variable;
  readonly data: Float32Array<SharedArrayBuffer>;
}

export class ReplicaWeights {
  readonly #backend: Backend;
  /** By the stage that steps them: this one, in some replica. */
  readonly #places: ReadonlyMap<number, readonly Place[]>;
  readonly #own: number;

  constructor(
    spec: StageSpec,
    layers: StageLayers,
    backend: Backend,
    { memory, byteOffsets }: SharedWeights,
  ) {
    const { buffer } = Arena.attach(memory);
    const placeOf = (index: number): Place => {
      const ref = spec.trainable[index]!;
      const variable = layers.variable(ref);
      const byteOffset = byteOffsets.get(ref.order);
      if (byteOffset === undefined)
        throw new StateError(`Weight ${ref.order} has no place in shared memory.`);
      return { variable, data: new Float32Array(buffer, byteOffset, variable.size) };
    };
    this.#backend = backend;
    this.#own = spec.stage;
    this.#places = new Map(
      spec.replicaStages.map(stage => [stage, weightsSteppedBy(spec, stage).map(placeOf)]),
    );
  }

  /** Writes what this replica has stepped. */
  publish(): void {
    for (const { variable, data } of this.#places.get(this.#own)!) this.#backend.toSlot(variable, data);
  }

  /** Reads what the replica of stage `peer` has stepped. */
  take(peer: number): void {
    for (const { variable, data } of this.#places.get(peer)!) {
      const weight = this.#backend.fromSlot(data, { dtype: 'float32', shape: variable.shape });
      variable.assign(weight);
      weight.dispose();
    }
  }
}
