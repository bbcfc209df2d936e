/** Layers of tfjs's own whose calls can be part of a graph that nobody asked for: they always compute the same. */
import { tf } from '../../tf.js';
import { type Layer, variesByCall } from '../../tfjs/internals.js';
import { mayBeLowered } from '../lowering/index.js';

/**
 * A recurrent layer is a graph by itself, of hundreds of operations, which layers of the same shapes share. Max pooling has a gradient
 * that reads what the forward pass noted in a form that a graph cannot give out; the one that a graph would take is 40 times as slow.
 */
const BETTER_ALONE: ReadonlySet<string> = new Set([
  'LSTM',
  'GRU',
  'SimpleRNN',
  'MaxPooling1D',
  'MaxPooling2D',
]);

/** Those that no kernel computes. */
const PLAIN_MAKERS: readonly (() => Layer)[] = [
  () => tf.layers.elu(),
  () => tf.layers.averagePooling1d({}),
  () => tf.layers.averagePooling2d({}),
  () => tf.layers.globalMaxPooling2d({}),
  () => tf.layers.flatten(),
  () => tf.layers.reshape({ targetShape: [1] }),
  () => tf.layers.permute({ dims: [1] }),
  () => tf.layers.repeatVector({ n: 1 }),
  () => tf.layers.add(),
  () => tf.layers.multiply(),
  () => tf.layers.average(),
  () => tf.layers.concatenate(),
];

/** tfjs's own; another one is the user's. */
const ACTIVATIONS: ReadonlySet<string> = new Set([
  'elu',
  'selu',
  'relu',
  'relu6',
  'linear',
  'sigmoid',
  'hardSigmoid',
  'softplus',
  'softsign',
  'tanh',
  'softmax',
  'logSoftmax',
  'swish',
  'mish',
  'gelu',
  'gelu_new',
]);

interface Activated {
  readonly activation?: { getClassName(): string } | null;
}

let plain: ReadonlySet<unknown> | undefined;

/** A user's class may descend from one of tfjs's, and compute something of its own. */
export function isTraceableLayer(layer: Layer): boolean {
  plain ??= new Set(PLAIN_MAKERS.map(make => make().constructor));
  const isOwn = plain.has(layer.constructor) || mayBeLowered(layer);
  if (!isOwn || BETTER_ALONE.has(layer.getClassName()) || variesByCall(layer)) return false;
  const { activation } = layer as unknown as Activated;
  return !activation || ACTIVATIONS.has(activation.getClassName());
}
