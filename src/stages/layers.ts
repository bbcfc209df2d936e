/** A stage's layers inside the worker: rebuilt from their configs, called in the graph's order, masks included. */

import type { Backend } from '../backends/index.js';
import { ModelError } from '../errors.js';
import { type FollowingNode, followingActivations } from '../model/following.js';
import { learnedValues } from '../model/learned-values.js';
import { canonicalWeights } from '../model/weights.js';
import type { LayerSpec, NodeSpec, StageSpec, WeightRef } from '../protocol/stage-spec.js';
import type { WeightBytes } from '../protocol/worker-api.js';
import { tf } from '../tf.js';
import { tensorOver } from '../tfjs/bytes.js';
import {
  batchNormParts,
  buildLayer,
  disposeRecurrentState,
  fromRegisteredConfig,
  insideAndItself,
  isStateful,
  type Layer,
  type LayerVariable,
  labelTape,
  regularizationLosses,
  supportsMasking,
  tapeLength,
  variableOf,
} from '../tfjs/internals.js';
import { LayerFailure } from './engine.js';
import { mayBeLowered } from './lowering/index.js';
import { type Learned, TracedSpan } from './traced-span.js';
import { findSpans, isTraceableLayer } from './tracing/index.js';
import type { Value } from './value.js';

export class StageLayers {
  readonly #spec: StageSpec;
  readonly #layers: readonly Layer[];
  readonly #weights: readonly (readonly LayerVariable[])[];
  /** By node. */
  readonly #following: ReadonlyMap<number, FollowingNode>;
  /** By the first node. */
  readonly #spans: ReadonlyMap<number, { readonly end: number; readonly traced: TracedSpan }>;

  /**
   * @param adapt gets each rebuilt layer with its position among the model's layers
   * @param backend that stretches of layers may run on as graphs
   */
  constructor(spec: StageSpec, adapt: (layer: Layer, index: number) => void = () => {}, backend?: Backend) {
    this.#spec = spec;
    const layers: Layer[] = [];
    try {
      for (const layerSpec of spec.layers) layers.push(rebuild(layerSpec, adapt));
    } catch (error) {
      disposeLayers(layers);
      throw error;
    }
    this.#layers = layers;
    this.#weights = layers.map(canonicalWeights);
    const isOwn = (node: number): boolean => mayBeLowered(layers[spec.nodes[node]!.layer]!);
    this.#following = new Map(
      [...followingActivations(spec)].filter(([node, { node: next }]) => isOwn(node) && isOwn(next)),
    );
    this.#spans = new Map(backend?.fused?.recordParts === undefined ? [] : this.#tracedSpans(backend));
  }

  #tracedSpans(backend: Backend): [number, { end: number; traced: TracedSpan }][] {
    const spec = this.#spec;
    const learned = this.#learned();
    const layerOf = (node: number): Layer => this.#layers[spec.nodes[node]!.layer]!;
    const pairs = new Map([...this.#following].map(([node, { node: next }]) => [node, next]));
    return findSpans(spec, node => isTraceableLayer(layerOf(node)), pairs).map(span => {
      const { first, end } = span;
      const inside = spec.nodes.slice(first, end).map(({ layer }) => layer);
      const calls = {
        span,
        name: `${layerOf(first).name} … ${layerOf(end - 1).name}`,
        weights: inside.flatMap(layer => this.#weights[layer]!.map(variableOf)),
        call: (values: Map<number, Value>, training: boolean) =>
          this.#callNodes(first, end, values, training),
      };
      return [first, { end, traced: new TracedSpan(backend, calls, learned) }];
    });
  }

  /** Weights that are trained here, and values that depend on such, or on those of earlier stages. */
  #learned(): Learned {
    const { trainable, copies, incoming, nodes } = this.#spec;
    const weights = new Set(
      [...trainable, ...copies].filter(({ frozen }) => !frozen).map(ref => this.variable(ref)),
    );
    const layers = new Set(
      this.#weights.flatMap((own, layer) =>
        own.some(weight => weights.has(variableOf(weight))) ? [layer] : [],
      ),
    );
    const received = incoming.flatMap(({ gradientValues }) => gradientValues);
    return { values: learnedValues(nodes, layers, received), weights };
  }

  /** Calls the layers on `values` and adds what they make, by value id. Tensors belong to the caller's scope. */
  call(values: Map<number, Value>, training: boolean): void {
    const { nodes } = this.#spec;
    const applied = new Set<number>();
    for (let index = 0; index < nodes.length; ) {
      const span = this.#spans.get(index);
      const recorded = tapeLength();
      if (span?.traced.run(values, training) === true) {
        labelTape(recorded, span.traced.name);
        index = span.end;
      } else {
        const end = span?.end ?? index + 1;
        this.#callNodes(index, end, values, training, applied);
        index = end;
      }
    }
  }

  /** @param applied nodes of activations that were applied before they came, to which it adds */
  #callNodes(
    first: number,
    end: number,
    values: Map<number, Value>,
    training: boolean,
    applied = new Set<number>(),
  ): void {
    for (let index = first; index < end; index++) {
      const node = this.#spec.nodes[index]!;
      if (applied.has(index)) values.set(node.outputs[0]!, values.get(node.inputs[0]!)!);
      else if (this.#callNode(index, node, values, training)) applied.add(this.#following.get(index)!.node);
    }
  }

  /** @returns whether the activation that follows is applied already */
  #callNode(index: number, node: NodeSpec, values: Map<number, Value>, training: boolean): boolean {
    const layer = this.#layers[node.layer]!;
    const inputs = node.inputs.map(id => values.get(id)!);
    const tensors = inputs.map(input => input.tensor);
    const masks = inputs.map(input => input.mask as tf.Tensor);
    const masked = masks.some(mask => mask !== undefined);
    const next = this.#following.get(index);
    const following = next && { name: next.activation, isApplied: false };
    try {
      // As tfjs's executor does: inputs as a list, and the first input's mask for the layer.
      const recorded = tapeLength();
      const kwargs = { training, ...(masked && { mask: masks[0] }), ...(following && { following }) };
      const result = layer.apply(tensors, kwargs);
      labelTape(recorded, layer.name);
      const outputs = (Array.isArray(result) ? result : [result]) as tf.Tensor[];
      const computed = supportsMasking(layer) ? layer.computeMask(tensors, masks) : undefined;
      const mask = (Array.isArray(computed) ? computed[0] : computed) ?? undefined;
      for (const [position, id] of node.outputs.entries()) {
        values.set(id, { tensor: outputs[position]!, mask });
      }
    } catch (error) {
      throw new LayerFailure(layer.name, error);
    }
    return following?.isApplied === true;
  }

  /** The sum of all weight penalties, or `undefined` without regularizers. A layer counts once a call, as in tfjs. */
  penalty(): tf.Scalar | undefined {
    const losses = this.#spec.nodes.flatMap(node => regularizationLosses(this.#layers[node.layer]!));
    return losses.length === 0 ? undefined : losses.reduce((sum, loss) => tf.add(sum, loss));
  }

  get regularized(): boolean {
    return this.#layers.some(layer => tf.tidy(() => regularizationLosses(layer).length > 0));
  }

  variable({ layer, weight }: Pick<WeightRef, 'layer' | 'weight'>): tf.Variable {
    return variableOf(this.#weights[layer]![weight]!);
  }

  /**
   * Non-trainable weights of users' own layers, which may have been assigned anything, a view of their input included. tfjs's
   * own, running statistics all of them, are always computed.
   */
  foreignState(): tf.Variable[] {
    const ofBatchNorms = new Set(this.#layers.flatMap(batchNormVariables));
    return this.nonTrainable().filter(variable => !ofBatchNorms.has(variable));
  }

  /** Weights that training changes outside the optimizer, such as a batch norm's running statistics. */
  nonTrainable(): tf.Variable[] {
    const { trainable: owned, copies } = this.#spec;
    const trainable = new Set([...owned, ...copies].map(ref => this.variable(ref)));
    return this.variables().filter(variable => !trainable.has(variable));
  }

  /** All weights in the order in which they travel. */
  variables(): tf.Variable[] {
    return this.#weights.flat().map(variableOf);
  }

  /** Takes the weights' memory over. */
  write(weights: WeightBytes): void {
    for (const [index, variable] of this.variables().entries()) {
      tf.tidy(() => variable.assign(tensorOver(weights[index]!, variable.shape, variable.dtype)));
    }
  }

  resetStates(): void {
    for (const layer of this.#layers) if (isStateful(layer)) layer.resetStates();
  }

  dispose(): void {
    disposeLayers(this.#layers);
  }
}

function rebuild(spec: LayerSpec, adapt: (layer: Layer, index: number) => void): Layer {
  const { index, name, className, config, buildShapes, weights } = spec;
  const built: Layer[] = [];
  try {
    // A copy: tfjs's wrappers take the inner layer out of the config that they are made from.
    const layer = fromRegisteredConfig<Layer>(className, structuredClone(config), 'layer');
    built.push(layer);
    buildLayer(
      layer,
      buildShapes.map(shape => [...shape]),
    );
    adapt(layer, index);
    const found = canonicalWeights(layer);
    const describe = (list: readonly { shape: readonly (number | null)[]; dtype: string }[]): string =>
      list.map(({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`).join(', ') || 'none';
    if (describe(found) !== describe(weights)) {
      throw new ModelError(
        `Layer '${name}' has other weights when rebuilt from its config (${describe(found)}) than in the model ` +
          `(${describe(weights)}). A custom layer must return everything that its constructor needs from getConfig().`,
        name,
      );
    }
    return layer;
  } catch (error) {
    disposeLayers(built);
    throw error instanceof ModelError ? error : new LayerFailure(name, error);
  }
}

function disposeLayers(layers: readonly Layer[]): void {
  for (const layer of layers) {
    for (const weight of canonicalWeights(layer)) weight.dispose();
    insideAndItself(layer).forEach(disposeRecurrentState);
  }
}

function batchNormVariables(layer: Layer): tf.Variable[] {
  return insideAndItself(layer).flatMap(part => {
    const parts = batchNormParts(part);
    return parts === undefined ? [] : [parts.movingMean, parts.movingVariance].map(variableOf);
  });
}
