/**
 * `TimeDistributed` layers in one call: every time step of every sample is a sample of the layer inside.
 *
 * tfjs calls the layer inside once a step and stacks what comes out, and back again step by step: a dense layer over 64 steps of
 * [64, 32] takes 6 ms there and back so, 0.9 in one call. What the layer inside does to a sample must not depend on other samples
 * or on the number of the call, so batch norm, random layers and layers of users' own stay as they are.
 */
import * as tf from '@tensorflow/tfjs';
import { isOfTfjs } from '../model/index.js';
import { innerLayers, insideAndItself, type Layer, variesByCall } from '../tfjs/internals.js';

interface TimeDistributed extends Layer {
  readonly layer: Layer;
}

/** Looks at a built layer and those inside it. */
export function foldTime(layer: Layer): void {
  for (const inner of innerLayers(layer)) foldTime(inner);
  if (!isTimeDistributed(layer) || !insideAndItself(layer.layer).every(takesMoreSamples)) return;
  const plainCall = layer.call.bind(layer);
  layer.call = (inputs, kwargs) => {
    const input = Array.isArray(inputs) ? inputs[0]! : inputs;
    const { mask, training } = (kwargs ?? {}) as { mask?: unknown; training?: boolean };
    if (mask !== undefined && mask !== null) return plainCall(inputs, kwargs);
    return tf.tidy(() => {
      const [samples, steps, ...rest] = input.shape as [number, number, ...number[]];
      const output = layer.layer.call(tf.reshape(input, [samples * steps, ...rest]), { training });
      const folded = Array.isArray(output) ? output[0]! : output;
      return tf.reshape(folded, [samples, steps, ...folded.shape.slice(1)]);
    });
  };
}

let known: unknown;

/** A user's class may carry the name. */
function isTimeDistributed(layer: Layer): layer is TimeDistributed {
  if (layer.getClassName() !== 'TimeDistributed') return false;
  known ??= tf.layers.timeDistributed({ layer: tf.layers.flatten() }).constructor;
  return layer.constructor === known;
}

function takesMoreSamples(part: Layer): boolean {
  const isOpen = !(part instanceof tf.LayersModel) || part.inputs.every(({ shape }) => shape[0] === null);
  return isOpen && isOfTfjs(part) && !variesByCall(part);
}
