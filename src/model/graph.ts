/**
 * A LayersModel as a flat graph of layer calls in execution order.
 *
 * A *node* is one call of a top-level layer; a *value* is one tensor between nodes. Nested models and wrappers are
 * single nodes. The order is a depth-first post-order from the outputs, so the two arms of a branch stay apart and a
 * contiguous cut is crossed by few values.
 */

import { ModelError } from '../errors.js';
import { tf } from '../tf.js';
import { explainCopies, isOfClassNamed } from '../tfjs/copies.js';
import { type GraphCall, type Layer, producerOf } from '../tfjs/internals.js';
import { assertStateIsInOnePlace } from './shared-state.js';
import { canonicalWeights } from './weights.js';

export interface GraphValue {
  readonly id: number;
  /** `null` where the size is known only with the data, the batch axis first of all. */
  readonly shape: readonly (number | null)[];
  readonly dtype: tf.DataType;
  /** Index of the producing node, or -1 for a model input. */
  readonly producer: number;
  /** Indices of the nodes that read the value, ascending, each once. */
  readonly consumers: readonly number[];
}

export interface GraphNode {
  readonly index: number;
  /** Index into `ModelGraph.layers`. */
  readonly layer: number;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

export interface GraphLayer {
  readonly index: number;
  readonly name: string;
  readonly layer: Layer;
  /** Indices of the layer's calls, ascending. A layer that is called twice shares its weights between the calls. */
  readonly nodes: readonly number[];
  /** Shapes of the first call's inputs, `null` for unknown axes. */
  readonly buildShapes: readonly tf.Shape[];
  readonly parameterCount: number;
  readonly weightBytes: number;
}

export interface ModelGraph {
  readonly model: tf.LayersModel;
  readonly values: readonly GraphValue[];
  readonly nodes: readonly GraphNode[];
  readonly layers: readonly GraphLayer[];
  /** Value of every model input, in the model's order. */
  readonly inputs: readonly number[];
  /** Value of every model output, in the model's order. */
  readonly outputs: readonly number[];
}

/** Reads the graph of a built model. Throws `ModelError` for anything that is no built `LayersModel`. */
export function readGraph(model: tf.LayersModel): ModelGraph {
  assertLayersModel(model);
  const values: { id: number; shape: readonly (number | null)[]; dtype: tf.DataType; producer: number }[] =
    [];
  const idOf = new Map<tf.SymbolicTensor, number>();
  const addValue = (tensor: tf.SymbolicTensor, producer: number): number => {
    const id = values.length;
    values.push({ id, shape: tensor.shape, dtype: tensor.dtype, producer });
    idOf.set(tensor, id);
    return id;
  };

  const inputs = model.inputs.map(input => addValue(input, -1));
  const calls = callsInOrder(model, new Set(model.inputs));
  const layerIndex = new Map<Layer, number>();
  const layerCalls: { layer: Layer; nodes: number[]; first: GraphCall }[] = [];
  const nodes = calls.map((call, index): GraphNode => {
    let layer = layerIndex.get(call.outboundLayer);
    if (layer === undefined) {
      layer = layerCalls.length;
      layerIndex.set(call.outboundLayer, layer);
      layerCalls.push({ layer: call.outboundLayer, nodes: [], first: call });
    }
    layerCalls[layer]!.nodes.push(index);
    return {
      index,
      layer,
      inputs: call.inputTensors.map(tensor => idOf.get(tensor)!),
      outputs: call.outputTensors.map(tensor => addValue(tensor, index)),
    };
  });
  assertStateIsInOnePlace(layerCalls.map(({ layer }) => layer));
  const consumers: number[][] = values.map(() => []);
  for (const node of nodes) for (const id of new Set(node.inputs)) consumers[id]!.push(node.index);

  return {
    model,
    values: values.map(value => ({ ...value, consumers: consumers[value.id]! })),
    nodes,
    layers: layerCalls.map((entry, index) => describeLayer(entry.layer, index, entry.nodes, entry.first)),
    inputs,
    outputs: model.outputs.map(output => idOf.get(output)!),
  };
}

function describeLayer(layer: Layer, index: number, nodes: readonly number[], first: GraphCall): GraphLayer {
  const weights = canonicalWeights(layer);
  const parameterCount = weights.reduce(
    (sum, weight) => sum + tf.util.sizeFromShape(weight.shape as number[]),
    0,
  );
  return {
    index,
    name: layer.name,
    layer,
    nodes,
    buildShapes: first.inputTensors.map(tensor => tensor.shape),
    parameterCount,
    weightBytes: parameterCount * Float32Array.BYTES_PER_ELEMENT,
  };
}

/** Depth-first post-order over the calls that lead to the outputs; iterative, for models thousands of layers deep. */
function callsInOrder(model: tf.LayersModel, inputs: ReadonlySet<tf.SymbolicTensor>): GraphCall[] {
  const ordered: GraphCall[] = [];
  const done = new Set<GraphCall>();
  for (const output of model.outputs) {
    if (inputs.has(output)) {
      throw new ModelError(
        `The model's output '${output.name}' is also one of its inputs: there is nothing to compute. ` +
          'Put a layer between them.',
      );
    }
    const stack: { call: GraphCall; next: number }[] = [{ call: producerOf(output), next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const input = top.call.inputTensors[top.next];
      if (done.has(top.call) || input === undefined) {
        stack.pop();
        if (!done.has(top.call)) {
          done.add(top.call);
          ordered.push(top.call);
        }
        continue;
      }
      top.next += 1;
      if (!inputs.has(input)) stack.push({ call: producerOf(input), next: 0 });
    }
  }
  return ordered;
}

function assertLayersModel(model: unknown): asserts model is tf.LayersModel {
  if (model instanceof tf.LayersModel) {
    if (!(model.outputs?.length > 0) || !(model.inputs?.length > 0)) {
      throw new ModelError(
        `The model '${model.name}' has not been built: its input shape is unknown. Give its first layer an ` +
          '`inputShape`, or call the model on data once.',
      );
    }
    return;
  }
  const name = (model as { constructor?: { name?: string } } | null)?.constructor?.name ?? String(model);
  if (name === 'GraphModel') {
    throw new ModelError(
      'A tf.GraphModel holds a frozen inference graph: it has no layers and cannot be trained. Convert the original ' +
        'Keras model with --output_format=tfjs_layers_model and load it with tf.loadLayersModel().',
    );
  }
  if (isOfClassNamed(model, 'LayersModel')) {
    throw new ModelError(
      `The model is a ${name} of another copy of TensorFlow.js than the one that Millrace uses.${explainCopies()}`,
    );
  }
  throw new ModelError(`pipeline() takes a tf.LayersModel (or tf.Sequential), but got ${name}.`);
}
