// @ts-check
/** What plain tfjs and Millrace do alike in a benchmark: models, samples, checks; they differ in who fits. */
import * as tf from '@tensorflow/tfjs';
import { buildModel, lossOf, MODEL_SPECS } from '../models/build.mjs';
import {
  CHECK_LEARNING_RATE,
  CHECK_STEPS,
  loadFirstWeights,
  loadSamples,
  namedWeights,
  writeTensors,
} from '../models/state.mjs';

/** @typedef {(x: tf.Tensor, y: tf.Tensor, args: { batchSize: number, epochs: number, shuffle: boolean }) => Promise<unknown>} Fit */

/**
 * @param {string} name of the model
 * @param {string} directory with first weights and samples
 * @param {'sgd' | 'adam'} optimizer
 */
export function prepareModel(name, directory, optimizer) {
  const spec = /** @type {import('../models/build.mjs').ModelSpec} */ (MODEL_SPECS[name]);
  const model = buildModel(spec);
  loadFirstWeights(model, directory);
  model.compile({
    optimizer: optimizer === 'sgd' ? tf.train.sgd(CHECK_LEARNING_RATE) : 'adam',
    loss: lossOf(spec),
  });
  return { model, batchSize: spec.batch };
}

/**
 * Trains the few steps that all systems are compared by, and leaves the weights in the directory.
 * @param {string} directory
 * @param {string} as name of the files
 * @param {{ model: tf.LayersModel, batchSize: number }} prepared
 * @param {Fit} train
 */
export async function check(directory, as, { model, batchSize }, train) {
  const { x, y } = loadSamples(directory, CHECK_STEPS);
  await train(x, y, { batchSize, epochs: 1, shuffle: false });
  tf.dispose([x, y]);
  writeTensors(directory, as, namedWeights(model));
}

/** Fits on so many mini-batches and says how long that took. Keeps the samples for the next time. */
export class TimedFit {
  /** @type {{ steps: number, x: tf.Tensor, y: tf.Tensor } | undefined} */
  #samples;
  #directory;
  #batchSize;

  /**
   * @param {string} directory
   * @param {number} batchSize
   */
  constructor(directory, batchSize) {
    this.#directory = directory;
    this.#batchSize = batchSize;
  }

  /**
   * @param {number} steps
   * @param {readonly Fit[]} fits all at once
   * @returns {Promise<number>} milliseconds in all
   */
  async run(steps, ...fits) {
    if (this.#samples?.steps !== steps) {
      if (this.#samples !== undefined) tf.dispose([this.#samples.x, this.#samples.y]);
      this.#samples = { steps, ...loadSamples(this.#directory, steps) };
    }
    const { x, y } = this.#samples;
    const start = performance.now();
    await Promise.all(
      fits.map(train => train(x, y, { batchSize: this.#batchSize, epochs: 1, shuffle: false })),
    );
    return performance.now() - start;
  }
}
