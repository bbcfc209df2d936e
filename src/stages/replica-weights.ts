/**
 * The weights of one stage that has replicas. Whoever steps a weight writes it into shared memory once, and all others read it
 * there: without a copy where tensors alias memory. An optimizer that can step a weight in that very memory leaves nothing to write:
 * two replicas of the benchmark's MLP of 512 units take 0.88 of the time so.
 *
 * Nothing is locked. A weight is written in the `step` of its stepper, behind the gradients of all replicas, which they send
 * when their last pass over the mini-batch has read their weights; and it is read by the next mini-batch, behind the
 * `replica-weight` signal. What broke off between leaves weights of two steps there, and the driver hands out all of them anew.
 *
 * Of a weight that is divided among replicas each writes the rows that it steps; once all rows of a step are there, every replica
 * reads the whole, the rows of its own too.
 *
 * A tensor that a user's layer has kept of such a weight changes with it, where tensors alias memory.
 */
import type * as tf from '@tensorflow/tfjs';
import { type Backend, liesIn, markPlaced, type Place, placeIn } from '../backends/index.js';
import { StateError } from '../errors.js';
import type { SharedWeights } from '../protocol/shared-weights.js';
import {
  optimizerEntries,
  type StageSpec,
  type SteppedWeight,
  steppedByStage,
} from '../protocol/stage-spec.js';
import { Arena } from '../transport/index.js';
import type { StageLayers } from './layers.js';
import type { SteppedVariables } from './stepped-variables.js';

interface PlacedVariable {
  readonly variable: tf.Variable;
  readonly place: Place;
}

export class ReplicaWeights {
  readonly #backend: Backend;
  readonly #spec: StageSpec;
  /** See `steppedByStage`. */
  readonly #stepped: ReadonlyMap<number, readonly SteppedWeight[]>;
  /** Where whole weights lie, by position in `StageSpec.trainable`. */
  readonly #wholes: ReadonlyMap<number, PlacedVariable>;
  /** Where what this replica steps lies, by position. */
  readonly #own: ReadonlyMap<number, PlacedVariable>;
  /** What was written of it in the present step. */
  readonly #published = new Set<number>();
  /** Of divided weights, by position: how many of the other replicas have written their rows of the present step. */
  readonly #written = new Map<number, number>();

  constructor(
    spec: StageSpec,
    layers: StageLayers,
    stepped: SteppedVariables,
    backend: Backend,
    { memory, byteOffsets }: SharedWeights,
  ) {
    const { buffer } = Arena.attach(memory);
    const wholeOf = (weight: number): PlacedVariable => {
      const ref = spec.trainable[weight]!;
      const variable = layers.variable(ref);
      const byteOffset = byteOffsets.get(ref.order);
      if (byteOffset === undefined)
        throw new StateError(`Weight ${ref.order} has no place in shared memory.`);
      return { variable, place: placeIn(buffer, byteOffset, variable.size) };
    };
    this.#backend = backend;
    this.#spec = spec;
    this.#stepped = steppedByStage(spec);
    const all = [...this.#stepped.values()].flat();
    this.#wholes = new Map(all.map(({ weight }) => [weight, wholeOf(weight)]));
    const ownOf = ({ weight, rows }: SteppedWeight): PlacedVariable => {
      const whole = this.#wholes.get(weight)!;
      if (rows === undefined) return whole;
      const rowSize = whole.variable.shape[1]!;
      const first = whole.place.subarray(rows.begin * rowSize);
      const place = placeIn(buffer, first.byteOffset, (rows.end - rows.begin) * rowSize);
      return { variable: stepped.part(weight), place };
    };
    this.#own = new Map(this.#stepped.get(spec.stage)!.map(each => [each.weight, ownOf(each)]));
  }

  /** Where the optimizer may step the weights, by entry of its list. A frozen one is on the list, but never stepped. */
  places(): readonly (Place | undefined)[] {
    return optimizerEntries(this.#spec).map(({ weight }) => this.#own.get(weight)?.place);
  }

  /** Writes a weight, by position, that this replica has just stepped: it is in the cache. */
  publish(weight: number): void {
    const { variable, place } = this.#own.get(weight)!;
    if (!liesIn(variable, place)) this.#backend.toSlot(variable, place);
    this.#published.add(weight);
  }

  /** Writes what had no gradient in this step: nobody else has its first value. */
  publishOthers(): void {
    for (const weight of this.#own.keys()) if (!this.#published.has(weight)) this.publish(weight);
    this.#published.clear();
  }

  /** Reads what the replica of stage `peer` has stepped. */
  take(peer: number): void {
    for (const { weight, rows } of this.#stepped.get(peer)!) {
      if (rows !== undefined && !this.#countWritten(weight)) continue;
      const { variable, place } = this.#wholes.get(weight)!;
      if (liesIn(variable, place)) continue;
      const value = this.#backend.fromSlot(place, { dtype: 'float32', shape: variable.shape });
      if (this.#backend.aliasesSlots) markPlaced(value, place);
      variable.assign(value);
      value.dispose();
    }
  }

  /**
   * One more replica has written its rows of a divided weight.
   *
   * @returns whether all have: this one, where it steps some, did so before
   */
  #countWritten(weight: number): boolean {
    const { shares } = this.#spec.trainable[weight]!;
    const others = shares.filter(({ replica }) => replica !== this.#spec.replica).length;
    const written = (this.#written.get(weight) ?? 0) + 1;
    this.#written.set(weight, written % others);
    return written === others;
  }

  /** Forgets a step that broke off: all weights are set anew. */
  reset(): void {
    this.#written.clear();
    this.#published.clear();
  }
}
