/** What layers are made of: their calls in the symbolic graph, inner layers, weights, states. */
import { tf } from '../tf.js';
import { required } from './required.js';

export type Layer = tf.layers.Layer;
export type LayerVariable = tf.LayerVariable;

/** One call of a layer in the symbolic graph. */
export interface GraphCall {
  readonly outboundLayer: Layer;
  readonly inputTensors: readonly tf.SymbolicTensor[];
  readonly outputTensors: readonly tf.SymbolicTensor[];
}

/** The call that produces `tensor`. */
export function producerOf(tensor: tf.SymbolicTensor): GraphCall {
  const nodes = required(
    (tensor.sourceLayer as unknown as { inboundNodes?: GraphCall[] }).inboundNodes,
    'Layer.inboundNodes',
  );
  return required(nodes[required(tensor.nodeIndex, 'SymbolicTensor.nodeIndex')], 'SymbolicTensor.nodeIndex');
}

interface LayerParts {
  layers?: readonly Layer[];
  layer?: Layer;
  forwardLayer?: Layer;
  backwardLayer?: Layer;
  cell?: Layer;
  cells?: readonly Layer[];
  _trainableWeights?: readonly LayerVariable[];
  _nonTrainableWeights?: readonly LayerVariable[];
}

/**
 * The layers that a container, wrapper or recurrent layer is made of, in a fixed order. A layer of the user's own may hold
 * others in any of its properties, by themselves or in lists.
 */
export function innerLayers(layer: Layer): readonly Layer[] {
  const parts = layer as unknown as LayerParts;
  if (layer instanceof tf.LayersModel) return parts.layers ?? [];
  const { forwardLayer, backwardLayer, cells, layer: wrapped, cell } = parts;
  const known = [forwardLayer, backwardLayer, ...listOf(cells), wrapped, cell].filter(isLayer);
  if (known.length > 0) return [...new Set(known)];
  return [...new Set(Object.values(layer).flatMap(listOf).filter(isLayer))];
}

/** A layer and all those inside it, at any depth. */
export function insideAndItself(layer: Layer): Layer[] {
  return [layer, ...innerLayers(layer).flatMap(insideAndItself)];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

function isLayer(value: unknown): value is Layer {
  return value instanceof tf.layers.Layer;
}

/** Whether further arguments of a layer's call tell it nothing. */
export function areAbsent(others: object): boolean {
  return Object.values(others).every(value => value === undefined || value === null);
}

/** The weights that a layer itself holds, whatever its `trainable` flag says. */
export function ownWeights(layer: Layer): readonly LayerVariable[] {
  const parts = layer as unknown as LayerParts;
  return [...(parts._trainableWeights ?? []), ...(parts._nonTrainableWeights ?? [])];
}

/** Weights of a layer itself that its calls change beside the optimizer, such as running statistics. */
export function ownStateWeights(layer: Layer): readonly LayerVariable[] {
  return (layer as unknown as LayerParts)._nonTrainableWeights ?? [];
}

const RANDOM_CLASSES: ReadonlySet<string> = new Set([
  'Dropout',
  'SpatialDropout1D',
  'AlphaDropout',
  'GaussianDropout',
  'GaussianNoise',
]);

/** Whether a layer itself, inner layers aside, draws random numbers in training. */
export function drawsRandomNumbers(layer: Layer): boolean {
  const { dropout = 0, recurrentDropout = 0 } = layer as unknown as {
    dropout?: number;
    recurrentDropout?: number;
  };
  return RANDOM_CLASSES.has(layer.getClassName()) || dropout > 0 || recurrentDropout > 0;
}

/** The engine variable behind a layer's weight. */
export function variableOf(weight: LayerVariable): tf.Variable {
  return weight.read() as tf.Variable;
}

export function regularizationLosses(layer: Layer): tf.Scalar[] {
  return (layer as unknown as { calculateLosses(): tf.Scalar[] }).calculateLosses();
}

/** Builds a layer for known input shapes without a symbolic call, as `apply` would. */
export function buildLayer(layer: Layer, shapes: readonly tf.Shape[]): void {
  if (layer.built) return;
  layer.build(shapes.length === 1 ? (shapes[0] as tf.Shape) : [...shapes]);
  layer.built = true;
}

export interface BatchNormParts {
  readonly axis: number;
  readonly momentum: number;
  readonly epsilon: number;
  readonly gamma?: LayerVariable | null;
  readonly beta?: LayerVariable | null;
  readonly movingMean: LayerVariable;
  readonly movingVariance: LayerVariable;
}

export function isBatchNorm(layer: Layer): boolean {
  return layer.getClassName() === 'BatchNormalization';
}

/** The inside of a batch normalization that is built; `undefined` for any other layer. */
export function batchNormParts(layer: Layer): BatchNormParts | undefined {
  if (!isBatchNorm(layer)) return undefined;
  const parts = layer as unknown as BatchNormParts;
  for (const member of ['axis', 'momentum', 'epsilon', 'movingMean', 'movingVariance'] as const) {
    required(parts[member], `BatchNormalization.${member}`);
  }
  return parts;
}

export function supportsMasking(layer: Layer): boolean {
  return layer.supportsMasking === true;
}

export function isStateful(layer: Layer): boolean {
  return (layer as unknown as { stateful?: boolean }).stateful === true;
}

/** Whether what a layer itself does, inner layers aside, depends on its calls so far, or on chance. */
export function variesByCall(layer: Layer): boolean {
  return isStateful(layer) || isBatchNorm(layer) || drawsRandomNumbers(layer);
}

interface RecurrentParts {
  states_?: tf.Tensor[] | null;
  keptStates?: tf.Tensor[][];
  dropoutMask?: tf.Tensor | tf.Tensor[] | null;
  recurrentDropoutMask?: tf.Tensor | tf.Tensor[] | null;
}

/** Disposes what a recurrent layer or cell keeps between calls: states, and dropout masks until the next call. */
export function disposeRecurrentState(layer: Layer): void {
  const parts = layer as unknown as RecurrentParts;
  const { states_, keptStates, dropoutMask, recurrentDropoutMask } = parts;
  tf.dispose([states_ ?? [], keptStates ?? [], dropoutMask ?? [], recurrentDropoutMask ?? []]);
  if (states_ !== undefined) parts.states_ = null;
  if (keptStates !== undefined) parts.keptStates = [];
  if (dropoutMask !== undefined) parts.dropoutMask = null;
  if (recurrentDropoutMask !== undefined) parts.recurrentDropoutMask = null;
}
