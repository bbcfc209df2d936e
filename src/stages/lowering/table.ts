/** Which classes of tfjs's layers are lowered, and how. */

import type { FusedOperations } from '../../backends/index.js';
import { tf } from '../../tf.js';
import type { Layer } from '../../tfjs/internals.js';
import { activation, leakyRelu, relu, softmax } from './activations.js';
import { batchNorm } from './batch-norm.js';
import { convolution, depthwiseConvolution, separableConvolution } from './convolution.js';
import { dense, embedding } from './dense.js';
import type { Lowering } from './layer-call.js';
import { layerNorm } from './layer-norm.js';
import { globalAverage1d, globalAverage2d, globalMax1d, max1d, max2d } from './pooling.js';
import { gru, lstm, simpleRnn } from './recurrent.js';

interface Lowered {
  /** What the backend must have. One that has any operation but those of recurrent layers has all of them. */
  readonly operation: keyof FusedOperations;
  readonly lower: Lowering;
  readonly make: () => Layer;
}

/** By class name. */
const LOWERINGS: ReadonlyMap<string, Lowered> = new Map<string, Lowered>([
  ['Dense', { operation: 'dense', lower: dense, make: () => tf.layers.dense({ units: 1 }) }],
  [
    'Embedding',
    {
      operation: 'embedding',
      lower: embedding,
      make: () => tf.layers.embedding({ inputDim: 1, outputDim: 1 }),
    },
  ],
  [
    'Conv1D',
    {
      operation: 'convolution',
      lower: convolution,
      make: () => tf.layers.conv1d({ filters: 1, kernelSize: 1 }),
    },
  ],
  [
    'Conv2D',
    {
      operation: 'convolution',
      lower: convolution,
      make: () => tf.layers.conv2d({ filters: 1, kernelSize: 1 }),
    },
  ],
  [
    'DepthwiseConv2D',
    {
      operation: 'depthwiseConvolution',
      lower: depthwiseConvolution,
      make: () => tf.layers.depthwiseConv2d({ kernelSize: 1 }),
    },
  ],
  [
    'SeparableConv2D',
    {
      operation: 'depthwiseConvolution',
      lower: separableConvolution,
      make: () => tf.layers.separableConv2d({ filters: 1, kernelSize: 1 }),
    },
  ],
  [
    'Activation',
    {
      operation: 'activation',
      lower: activation,
      make: () => tf.layers.activation({ activation: 'linear' }),
    },
  ],
  ['ReLU', { operation: 'activation', lower: relu, make: () => tf.layers.reLU() }],
  ['LeakyReLU', { operation: 'activation', lower: leakyRelu, make: () => tf.layers.leakyReLU() }],
  ['Softmax', { operation: 'activation', lower: softmax, make: () => tf.layers.softmax() }],
  [
    'BatchNormalization',
    { operation: 'batchNorm', lower: batchNorm, make: () => tf.layers.batchNormalization() },
  ],
  [
    'LayerNormalization',
    { operation: 'layerNorm', lower: layerNorm, make: () => tf.layers.layerNormalization() },
  ],
  ['MaxPooling1D', { operation: 'maxPool', lower: max1d, make: () => tf.layers.maxPooling1d({}) }],
  ['MaxPooling2D', { operation: 'maxPool', lower: max2d, make: () => tf.layers.maxPooling2d({}) }],
  [
    'GlobalAveragePooling1D',
    { operation: 'globalAverage', lower: globalAverage1d, make: () => tf.layers.globalAveragePooling1d({}) },
  ],
  [
    'GlobalAveragePooling2D',
    { operation: 'globalAverage', lower: globalAverage2d, make: () => tf.layers.globalAveragePooling2d({}) },
  ],
  [
    'GlobalMaxPooling1D',
    { operation: 'globalMax', lower: globalMax1d, make: () => tf.layers.globalMaxPooling1d({}) },
  ],
  ['SimpleRNN', { operation: 'simpleRnn', lower: simpleRnn, make: () => tf.layers.simpleRNN({ units: 1 }) }],
  ['LSTM', { operation: 'lstm', lower: lstm, make: () => tf.layers.lstm({ units: 1 }) }],
  ['GRU', { operation: 'gru', lower: gru, make: () => tf.layers.gru({ units: 1 }) }],
]);

/** Classes of layers that may be lowered. */
export const LOWERED_CLASSES: readonly string[] = [...LOWERINGS.keys()];

/** Whether a layer is one of tfjs's own that may be lowered. */
export function mayBeLowered(layer: Layer): boolean {
  return loweringOf(layer) !== undefined;
}

const constructors = new Map<string, unknown>();

/** How a layer is lowered. A user's class may carry the name of one of tfjs's, or descend from it; it computes something of its own. */
export function loweringOf(layer: Layer): Lowered | undefined {
  const className = layer.getClassName();
  const lowering = LOWERINGS.get(className);
  if (lowering === undefined) return undefined;
  const known = constructors.get(className) ?? lowering.make().constructor;
  constructors.set(className, known);
  return layer.constructor === known ? lowering : undefined;
}
