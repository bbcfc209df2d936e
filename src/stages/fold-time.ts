/**
 * `TimeDistributed` layers in one call: every time step of every sample is a sample of the layer inside.
 *
 * tfjs calls the layer inside once a step and stacks what comes out, and back again step by step: a dense layer over 64 steps of
 * [64, 32] takes 6 ms there and back so, 0.9 in one call. Outside training that holds what the layer makes of all steps at once.
 *
 * What the layer inside does to a sample must not depend on other samples or on the number of the call. So only layers of tfjs's
 * own of which that is known are folded, alone or one behind the other in a model.
 */
import { tf } from '../tf.js';
import { areAbsent, innerLayers, insideAndItself, type Layer, variesByCall } from '../tfjs/internals.js';
import { mayBeLowered } from './lowering/index.js';

interface TimeDistributed extends Layer {
  readonly layer: Layer;
}

/** Looks at a built layer and those inside it. */
export function foldTime(layer: Layer): void {
  for (const inner of innerLayers(layer)) foldTime(inner);
  if (!isTimeDistributed(layer) || !takesMoreSamples(layer.layer)) return;
  const plainCall = layer.call.bind(layer);
  layer.call = (inputs, kwargs) =>
    tf.tidy(() => {
      const { training, ...others } = (kwargs ?? {}) as { training?: boolean };
      const folded = areAbsent(others) ? foldedCall(layer.layer, inputs, training) : undefined;
      return folded ?? plainCall(inputs, kwargs);
    });
}

/** @returns `undefined` for a layer with several outputs, of which tfjs has something to say */
function foldedCall(
  inside: Layer,
  inputs: tf.Tensor | tf.Tensor[],
  training: boolean | undefined,
): tf.Tensor | undefined {
  const input = Array.isArray(inputs) ? inputs[0]! : inputs;
  const [samples, steps, ...rest] = input.shape as [number, number, ...number[]];
  const result = inside.call(tf.reshape(input, [samples * steps, ...rest]), { training });
  const [output, ...more] = Array.isArray(result) ? result : [result];
  if (output === undefined || more.length > 0) return undefined;
  return tf.reshape(output, [samples, steps, ...output.shape.slice(1)]);
}

/** Layers of tfjs's own, to tell them from users' classes, which may carry their names or descend from them. */
interface Known {
  readonly timeDistributed: readonly Layer[];
  readonly sequential: readonly Layer[];
  /** Beside those that may be lowered. */
  readonly sampleWise: readonly Layer[];
}

let made: Known | undefined;

function known(): Known {
  made ??= {
    timeDistributed: [tf.layers.timeDistributed({ layer: tf.layers.flatten() })],
    sequential: [tf.sequential()],
    sampleWise: [
      tf.layers.inputLayer({ inputShape: [1] }),
      tf.layers.flatten(),
      tf.layers.reshape({ targetShape: [1] }),
      tf.layers.permute({ dims: [1] }),
      tf.layers.repeatVector({ n: 1 }),
      tf.layers.averagePooling1d({}),
      tf.layers.averagePooling2d({}),
      tf.layers.zeroPadding2d({}),
      tf.layers.upSampling2d({}),
    ],
  };
  return made;
}

function isOneOf(layer: Layer, layers: readonly Layer[]): boolean {
  return layers.some(one => layer.constructor === one.constructor);
}

function isTimeDistributed(layer: Layer): layer is TimeDistributed {
  return isOneOf(layer, known().timeDistributed);
}

function takesMoreSamples(layer: Layer): boolean {
  if (isTimeDistributed(layer)) return takesMoreSamples(layer.layer);
  if (isOneOf(layer, known().sequential)) {
    const isOpen = (layer as unknown as tf.Sequential).inputs.every(({ shape }) => shape[0] === null);
    return isOpen && innerLayers(layer).every(takesMoreSamples);
  }
  const { axis } = layer as { readonly axis?: number | readonly number[] };
  const isOverSamples = [axis].flat().includes(0);
  const isKnown = mayBeLowered(layer) || isOneOf(layer, known().sampleWise);
  return isKnown && !isOverSamples && !insideAndItself(layer).some(variesByCall);
}
