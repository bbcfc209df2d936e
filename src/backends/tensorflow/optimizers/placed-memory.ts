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

/** At other places TensorFlow makes tensors with memory of their own. */
const ALIGNED_BYTES = 64;

/**
 * @param places by the optimizer's variables
 * @throws StateError for a place that does not begin at a multiple of 64 bytes
 */
export function placedMemory(places: readonly Place[]): Memory {
  if (places.some(({ byteOffset }) => byteOffset % ALIGNED_BYTES !== 0))
    throw new StateError('A weight that replicas share has a place that no tensor can lie in.');
  return {
    slot: initial => new OwnTensor(initial),
    weight: (variable, index) => new PlacedWeight(variable, places[index]!),
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
