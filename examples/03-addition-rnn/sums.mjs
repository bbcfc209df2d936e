/**
 * Sums as text, such as `12+34 ` and `46 `: every question is as long as the longest, every answer too. The questions are
 * turned around, as in the Keras example that this follows, which makes them much easier to learn.
 */
import * as tf from '@tensorflow/tfjs';
import { randomNumbers } from '../shared/random.mjs';

const CHARACTERS = '0123456789+ ';
const TEST_SHARE = 0.1;
/** Any number will do, as long as it stays: the sums must not change from run to run. */
const SUMS_SEED = 2014;

export const CHARACTER_COUNT = CHARACTERS.length;

export const questionLength = digits => 2 * digits + 1;
export const answerLength = digits => digits + 1;

/**
 * Sums of two numbers of up to `digits` digits, no pair of numbers twice, whichever comes first.
 *
 * @returns {{ training: Sums, test: Sums }}
 */
export function makeSums(digits, count) {
  const random = randomNumbers(SUMS_SEED);
  const number = () => Math.floor(random() * 10 ** digits);
  const seen = new Set();
  const sums = [];
  while (sums.length < count) {
    const [a, b] = [number(), number()];
    const key = `${Math.min(a, b)}+${Math.max(a, b)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    sums.push({ question: `${a}+${b}`, answer: `${a + b}` });
  }
  const testCount = Math.round(count * TEST_SHARE);
  return {
    training: new Sums(sums.slice(testCount), digits),
    test: new Sums(sums.slice(0, testCount), digits),
  };
}

/** How many sums of such numbers there are. */
export function possibleSums(digits) {
  const numbers = 10 ** digits;
  return (numbers * (numbers + 1)) / 2;
}

/** @typedef {{ readonly question: string, readonly answer: string }} Sum */

class Sums {
  #sums;
  #digits;

  /** @param {readonly Sum[]} sums */
  constructor(sums, digits) {
    this.#sums = sums;
    this.#digits = digits;
  }

  get count() {
    return this.#sums.length;
  }

  /** @returns {readonly Sum[]} */
  get all() {
    return this.#sums;
  }

  /** @returns {{ x: tf.Tensor3D, y: tf.Tensor3D }} one-hot characters: [sums, characters of a sum, known characters] */
  toTensors() {
    const questions = this.#sums.map(({ question }) =>
      [...question.padEnd(questionLength(this.#digits))].reverse().join(''),
    );
    const answers = this.#sums.map(({ answer }) => answer.padEnd(answerLength(this.#digits)));
    return { x: encode(questions), y: encode(answers) };
  }
}

/** @param {readonly string[]} texts all of one length */
function encode(texts) {
  const characters = Int32Array.from([...texts.join('')], character => CHARACTERS.indexOf(character));
  const shape = [texts.length, texts[0].length];
  return tf.tidy(() => tf.oneHot(tf.tensor2d(characters, shape, 'int32'), CHARACTER_COUNT).toFloat());
}

/** @param {tf.Tensor3D} scores of characters, as `toTensors` lays them out */
export function decode(scores) {
  const [count, length] = scores.shape;
  const best = tf.tidy(() => tf.argMax(scores, 2).dataSync());
  return Array.from({ length: count }, (_, row) =>
    Array.from(best.subarray(row * length, (row + 1) * length), index => CHARACTERS[index])
      .join('')
      .trim(),
  );
}
