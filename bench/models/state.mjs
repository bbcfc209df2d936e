// @ts-check
/**
 * What all systems of one benchmark start from and are compared by: first weights, samples, and weights after a few steps, as
 * raw little-endian float32 with a JSON file of names and shapes beside them, which Python reads as easily.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';

/** Mini-batches of samples that are generated; longer runs go through them again. */
export const BASE_BATCHES = 8;
/** Steps of plain SGD after which weights are compared, and their learning rate. */
export const CHECK_STEPS = 3;
export const CHECK_LEARNING_RATE = 0.002;

/** @typedef {{ name: string, shape: number[] }[]} Manifest */

/**
 * Every weight under the name of its layer and its place in it.
 * @param {tf.LayersModel} model
 * @returns {{ name: string, tensor: tf.Tensor }[]} tensors of the model's own
 */
export function namedWeights(model) {
  return model.layers.flatMap(layer =>
    layer.getWeights().map((tensor, index) => ({ name: `${layer.name}/${index}`, tensor })),
  );
}

/**
 * @param {string} directory
 * @param {string} name of the two files
 * @param {readonly { name: string, tensor: tf.Tensor }[]} tensors
 */
export function writeTensors(directory, name, tensors) {
  const manifest = tensors.map(({ name: of, tensor }) => ({ name: of, shape: tensor.shape }));
  const parts = tensors.map(({ tensor }) => Buffer.from(new Float32Array(tensor.dataSync()).buffer));
  writeFileSync(path.join(directory, `${name}.bin`), Buffer.concat(parts));
  writeFileSync(path.join(directory, `${name}.json`), JSON.stringify(manifest));
}

/**
 * @param {string} directory
 * @param {string} name
 * @returns {Map<string, { shape: number[], values: Float32Array }>}
 */
export function readArrays(directory, name) {
  /** @type {Manifest} */
  const manifest = JSON.parse(readFileSync(path.join(directory, `${name}.json`), 'utf8'));
  const bytes = readFileSync(path.join(directory, `${name}.bin`));
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  let offset = 0;
  return new Map(
    manifest.map(({ name: of, shape }) => {
      const size = shape.reduce((product, axis) => product * axis, 1);
      offset += size;
      return [of, { shape, values: all.subarray(offset - size, offset) }];
    }),
  );
}

/**
 * Sets a model to the weights of a directory.
 * @param {tf.LayersModel} model
 * @param {string} directory
 */
export function loadFirstWeights(model, directory) {
  const arrays = readArrays(directory, 'weights');
  for (const layer of model.layers) {
    const tensors = layer.getWeights().map((_, index) => {
      const found = arrays.get(`${layer.name}/${index}`);
      if (found === undefined) throw new Error(`no first weights for ${layer.name}/${index}`);
      return tf.tensor(found.values, found.shape);
    });
    layer.setWeights(tensors);
    tf.dispose(tensors);
  }
}

/**
 * The samples of a directory, over and over until there are `batches` mini-batches.
 * @param {string} directory
 * @param {number} batches
 * @returns {{ x: tf.Tensor, y: tf.Tensor }}
 */
export function loadSamples(directory, batches) {
  const arrays = readArrays(directory, 'samples');
  const repeat = (/** @type {string} */ name) => {
    const { shape, values } = /** @type {{ shape: number[], values: Float32Array }} */ (arrays.get(name));
    const perBatch = values.length / BASE_BATCHES;
    const long = new Float32Array(batches * perBatch);
    for (let batch = 0; batch < batches; batch++) {
      const from = (batch % BASE_BATCHES) * perBatch;
      long.set(values.subarray(from, from + perBatch), batch * perBatch);
    }
    return tf.tensor(long, [(batches * /** @type {number} */ (shape[0])) / BASE_BATCHES, ...shape.slice(1)]);
  };
  return { x: repeat('x'), y: repeat('y') };
}
