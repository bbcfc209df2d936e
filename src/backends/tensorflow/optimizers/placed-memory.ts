/**
 * Weights where all replicas read them: the op of the one that steps a weight writes it there, and nobody copies it from one memory
 * to another. Only ops of Millrace's own do that; TensorFlow's change resource variables, which would take a copy of such memory
 * first.
 */
import { StateError } from '../../../errors.js';
import { tf } from '../../../tf.js';
import { liesIn, markPlaced, type Place } from '../../placed.js';
import { copy } from '../memory.js';
import type { HeldSlot, HeldWeight, Memory } from './held.js';

/** @param places by the optimizer's variables; none for one that is never stepped */
export function placedMemory(places: readonly (Place | undefined)[]): Memory {
  return {
    slot: initial => new OwnTensor(initial),
    weight(variable, index) {
      const place = places[index];
      if (place === undefined) throw new StateError(`Variable ${index} is stepped, but has no place.`);
      return new PlacedWeight(variable, place);
    },
  };
}

class OwnTensor implements HeldSlot {
  readonly operand: tf.Tensor;

  constructor(initial: tf.Tensor) {
    this.operand = tf.keep(copy(initial));
  }

  read(): tf.Tensor {
    return tf.clone(this.operand);
  }

  dispose(): void {
    this.operand.dispose();
  }
}

class PlacedWeight implements HeldWeight {
  readonly #variable: tf.Variable;
  readonly #place: Place;

  constructor(variable: tf.Variable, place: Place) {
    this.#variable = variable;
    this.#place = place;
  }

  update(run: (operand: tf.Tensor) => void): void {
    if (!liesIn(this.#variable, this.#place)) this.#move();
    run(this.#variable);
  }

  /** Somebody has set the variable: what it was given stays as it is. */
  #move(): void {
    this.#place.set(this.#variable.dataSync());
    const placed = tf.tensor(this.#place, this.#variable.shape);
    markPlaced(placed, this.#place);
    this.#variable.assign(placed);
    placed.dispose();
  }

  dispose(): void {}
}
