/**
 * How large the mask may be that travels beside each value. tfjs tells a mask's shape nowhere before it is computed, and
 * it need not resemble the tensor it travels with: the states of an LSTM are [batch, units], their mask [batch, steps].
 *
 * A mask is made from a layer's inputs and then handed on or merged, so it has no more elements than the inputs of
 * the layers that made it. Where no layer upstream makes one, there is none.
 */
import { elementCount } from '../protocol/message.js';
import { innerLayers, type Layer } from '../tfjs/internals.js';
import { isOfTfjs } from './coupling.js';
import type { ModelGraph } from './graph.js';

/**
 * Most elements of the mask of every value, by value id; 0 where there is no mask.
 *
 * @param shapes of all values, batch axis included
 */
export function maskSizes(graph: ModelGraph, shapes: readonly (readonly number[])[]): readonly number[] {
  const sizes = graph.values.map(() => 0);
  const elements = (id: number): number => elementCount(shapes[id]!);
  for (const { layer, inputs, outputs } of graph.nodes) {
    const masked = inputs.some(id => sizes[id]! > 0);
    const all = [...inputs, ...outputs].reduce((sum, id) => sum + elements(id), 0);
    const passedOn = inputs.length === 1 ? sizes[inputs[0]!]! : masked ? all : 0;
    const size = makesMasks(graph.layers[layer]!.layer) ? Math.max(all, passedOn) : passedOn;
    for (const id of outputs) sizes[id] = size;
  }
  return sizes;
}

/** Masking layers, embeddings that are told to, and layers of the user's own, which may do anything. */
function makesMasks(layer: Layer): boolean {
  const { maskZero } = layer as unknown as { maskZero?: boolean };
  if (layer.getClassName() === 'Masking' || maskZero === true || !isOfTfjs(layer)) return true;
  return innerLayers(layer).some(makesMasks);
}
