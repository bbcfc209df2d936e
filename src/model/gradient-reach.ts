/**
 * Refuses a model in which a weight would train that no gradient reaches: below a layer that looks its input up as whole
 * numbers. tfjs notices it in the middle of the first step, with the name of a kernel.
 */

import { ModelError } from '../errors.js';
import { tf } from '../tf.js';
import { insideAndItself, type Layer, variableOf } from '../tfjs/internals.js';
import { type ModelGraph, readGraph } from './graph.js';
import { optimizedWeights } from './trainable.js';
import { canonicalWeights } from './weights.js';

/** Layers without a gradient for their input. */
const LOOKS_UP: ReadonlySet<string> = new Set(['Embedding', 'CategoryEncoding']);

/** @throws ModelError that names the layer without a gradient and one below it that would train */
export function assertGradientsReachWeights(graph: ModelGraph): void {
  const trained = new Set(optimizedWeights(graph.model).filter(weight => variableOf(weight).trainable));
  const trains = (layer: Layer): boolean => canonicalWeights(layer).some(weight => trained.has(weight));
  learnedOutputs(
    graph,
    graph.inputs.map(() => undefined),
    trains,
  );
}

/** For each output the name of a layer that trains and that it depends on, if there is one; inputs likewise. */
function learnedOutputs(
  graph: ModelGraph,
  inputs: readonly (string | undefined)[],
  trains: (layer: Layer) => boolean,
): (string | undefined)[] {
  const learned = new Map(graph.inputs.map((id, index) => [id, inputs[index]]));
  for (const node of graph.nodes) {
    const { layer, name } = graph.layers[node.layer]!;
    const below = node.inputs.map(id => learned.get(id));
    const first = below.find(source => source !== undefined);
    if (layer instanceof tf.LayersModel) {
      const outputs = learnedOutputs(readGraph(layer), below, trains);
      for (const [index, id] of node.outputs.entries()) learned.set(id, outputs[index]);
      continue;
    }
    if (first !== undefined && looksUp(layer)) {
      throw new ModelError(
        `Layer '${name}' (${layer.getClassName()}) has no gradient for its input, so the weights of layer '${first}' below it ` +
          `cannot be trained. Set \`trainable\` of '${first}' to false and compile the model again, or leave it out.`,
        name,
      );
    }
    const source = trains(layer) ? name : first;
    for (const id of node.outputs) learned.set(id, source);
  }
  return graph.outputs.map(id => learned.get(id));
}

function looksUp(layer: Layer): boolean {
  return insideAndItself(layer).some(part => LOOKS_UP.has(part.getClassName()));
}
