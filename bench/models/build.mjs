// @ts-check
/**
 * The models of the benchmark, read from `specs.json`, as tfjs models. `torch_models.py` reads the same file. Layers are named
 * by their place in it, which is how weights find their way from one framework into the other.
 */
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { Positions, SelfAttention } from './attention.mjs';

/**
 * @typedef {{ kind: string } & Record<string, any>} LayerSpec
 * @typedef {{ title: string, batch: number, input: number[], vocabulary?: number, classes?: number, uncounted?: boolean,
 *   absentIn?: string[], layers: LayerSpec[] }} ModelSpec
 */

/** @type {Readonly<Record<string, ModelSpec>>} */
export const MODEL_SPECS = JSON.parse(readFileSync(new URL('specs.json', import.meta.url), 'utf8'));

/** Module to give to `setup`. */
export const SETUP_MODULE = new URL('attention.mjs', import.meta.url).href;

/**
 * Layers that may run as graphs.
 * @param {ModelSpec} spec
 */
export const tracedLayersOf = spec =>
  spec.layers.some(({ kind }) => kind === 'encoder') ? [SelfAttention.className] : [];

/**
 * @param {ModelSpec} spec
 * @returns {tf.LayersModel} not compiled yet
 */
export function buildModel(spec) {
  const input = tf.input({ shape: spec.input });
  let x = /** @type {tf.SymbolicTensor} */ (input);
  for (const [index, layer] of spec.layers.entries()) x = applyLayer(x, layer, `l${index}`);
  return tf.model({ inputs: input, outputs: x });
}

/**
 * @param {tf.SymbolicTensor} x
 * @param {LayerSpec} layer
 * @param {string} name
 * @returns {tf.SymbolicTensor}
 */
function applyLayer(x, layer, name) {
  if (layer.kind === 'encoder') return encoder(x, layer, name);
  return /** @type {tf.SymbolicTensor} */ (simpleLayer(layer, name).apply(x));
}

/**
 * @param {LayerSpec} layer
 * @param {string} name
 * @returns {tf.layers.Layer}
 */
function simpleLayer(layer, name) {
  const { layers } = tf;
  const same = { padding: /** @type {'same'} */ ('same'), name };
  switch (layer.kind) {
    case 'dense':
      return layers.dense({ units: layer['units'], activation: layer['activation'], name });
    case 'conv':
      return layers.conv2d({
        ...same,
        filters: layer['filters'],
        kernelSize: layer['kernel'],
        strides: layer['stride'],
        useBias: layer['bias'] === true,
        activation: layer['activation'] ?? 'linear',
      });
    case 'depthwise':
      return layers.depthwiseConv2d({ ...same, kernelSize: layer['kernel'], useBias: false });
    case 'conv1d':
      return layers.conv1d({
        filters: layer['filters'],
        kernelSize: layer['kernel'],
        activation: layer['activation'],
        name,
      });
    case 'batchNorm':
      return layers.batchNormalization({ name });
    case 'relu':
      return layers.reLU({ name });
    case 'embedding':
      return layers.embedding({ inputDim: layer['vocabulary'], outputDim: layer['width'], name });
    case 'positions':
      return new Positions({ name });
    case 'lstm':
      return layers.lstm({
        units: layer['units'],
        recurrentActivation: layer['gate'],
        returnSequences: layer['sequences'],
        // An orthogonal matrix of this size takes tfjs seconds to make, and its values cost what others do.
        recurrentInitializer: 'glorotUniform',
        name,
      });
    case 'globalAverage2d':
      return layers.globalAveragePooling2d({ name });
    case 'globalAverage1d':
      return layers.globalAveragePooling1d({ name });
    case 'globalMax1d':
      return layers.globalMaxPooling1d({ name });
    default:
      throw new Error(`specs.json names a layer of unknown kind '${layer.kind}'`);
  }
}

/**
 * A pre-norm block: attention, then two dense layers, each around a skip connection.
 * @param {tf.SymbolicTensor} x
 * @param {LayerSpec} layer
 * @param {string} name
 */
function encoder(x, layer, name) {
  const width = /** @type {number} */ (x.shape[2]);
  const { layers } = tf;
  const chain = (/** @type {tf.layers.Layer[]} */ ...parts) =>
    parts.reduce((y, part) => /** @type {tf.SymbolicTensor} */ (part.apply(y)), x);
  /** @param {string} part */
  const norm = part => layers.layerNormalization({ epsilon: 1e-3, name: `${name}_${part}` });
  const attended = chain(
    norm('norm1'),
    new SelfAttention({ heads: layer['heads'], name: `${name}_attention` }),
  );
  x = /** @type {tf.SymbolicTensor} */ (layers.add({ name: `${name}_add1` }).apply([x, attended]));
  const fed = chain(
    norm('norm2'),
    layers.dense({ units: layer['hidden'], activation: 'relu', name: `${name}_wide` }),
    layers.dense({ units: width, name: `${name}_narrow` }),
  );
  return /** @type {tf.SymbolicTensor} */ (layers.add({ name: `${name}_add2` }).apply([x, fed]));
}

/**
 * @param {ModelSpec} spec
 * @returns {'categoricalCrossentropy' | 'meanSquaredError'}
 */
export function lossOf(spec) {
  return spec.classes === undefined ? 'meanSquaredError' : 'categoricalCrossentropy';
}
