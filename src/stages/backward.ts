/**
 * The backward pass of one stage and micro-batch over a recorded tape, with B and W apart.
 *
 *     tape        x ──▶ [matMul] ──▶ [add] ──▶ [relu] ──▶ y         sample side: depends on the data
 *                          ▲           ▲
 *                        kernel      bias                           weight side: depends on weights alone
 *
 * B walks the sample side from y to x and calls only the gradient thunks of inputs on that side. The thunks of
 * weight-side inputs are kept; W calls them later and walks on through the weight side (a reshaped bias, a sliced
 * recurrent kernel) to the variables. A tape node's `gradient` computes nothing until a thunk is called, so W really is
 * deferred, save for nodes that compute all gradients at once (fused matMul and conv2d other than relu and elu, LSTM and
 * GRU steps): their W is done with B, and what is deferred is only the sum.
 *
 * The split follows Zero Bubble (arXiv 2401.10241); with nothing deferred the walk is that of tfjs's own
 * `backpropagateGradients`, node by node in the same order, and gives the same bits.
 *
 * Memory: a thunk reads its node's saved tensors, its output gradients, and whatever `gradient` made before returning
 * it. The walk therefore owns every tensor that it makes. Those of a node without deferred thunks are disposed as soon
 * as the node is done; the others when W has run.
 */

import { joinProducts, type SampleProduct, sampleProductOf } from '../backends/index.js';
import { MillraceError } from '../errors.js';
import { tf } from '../tf.js';
import { collectTensors, type TapeNode, tapeLabel } from '../tfjs/internals.js';
import { LayerFailure } from './engine.js';

interface DeferredThunk {
  readonly input: tf.Tensor;
  readonly gradient: () => tf.Tensor;
  readonly node: TapeNode;
}

interface DeferredNode {
  readonly thunks: DeferredThunk[];
  readonly owned: readonly tf.Tensor[];
}

export interface BackwardRequest {
  readonly tape: readonly TapeNode[];
  /** Tensors that depend on the samples: received activations, fed inputs, targets. */
  readonly samples: readonly tf.Tensor[];
  /** Received activations whose gradient is wanted. */
  readonly inputs: readonly tf.Tensor[];
  readonly variables: readonly tf.Variable[];
  /** Gradients of the tape's outputs, by tensor id; the walk takes them over and disposes them. */
  readonly seeds: ReadonlyMap<number, tf.Tensor>;
}

export interface BackwardResult {
  /** Gradient of each wanted input, `undefined` where the output does not depend on it. The caller's. */
  readonly inputGradients: readonly (tf.Tensor | undefined)[];
  readonly deferred: DeferredWeightGradients;
}

/** Runs B and keeps what W needs. */
export function backwardInput(request: BackwardRequest): BackwardResult {
  const route = findRoute(request);
  const gradients = new GradientMap(request.seeds);
  const deferred: DeferredNode[] = [];
  try {
    for (const node of route.sampleNodes) {
      const kept = walkNode(node, gradients, route, id => route.sampleSide.has(id));
      if (kept !== undefined) deferred.push(kept);
    }
  } catch (error) {
    for (const { owned } of deferred) tf.dispose([...owned]);
    gradients.disposeAll();
    throw error;
  }
  const inputGradients = request.inputs.map(input => gradients.take(input.id));
  return {
    inputGradients,
    deferred: new DeferredWeightGradients(deferred, gradients, route, request.variables),
  };
}

/** The weight gradients of one micro-batch, not computed yet. */
export class DeferredWeightGradients {
  readonly #nodes: DeferredNode[];
  /** What is left of the seeds: gradients of outputs that depend on weights alone, such as a penalty. */
  readonly #gradients: GradientMap;
  readonly #route: Route;
  readonly #variables: readonly tf.Variable[];

  constructor(
    nodes: DeferredNode[],
    gradients: GradientMap,
    route: Route,
    variables: readonly tf.Variable[],
  ) {
    this.#nodes = nodes;
    this.#gradients = gradients;
    this.#route = route;
    this.#variables = variables;
  }

  /** Runs W. Returns the gradient of each variable, `undefined` where the output does not depend on it. */
  compute(): (tf.Tensor | undefined)[] {
    const gradients = this.#gradients;
    for (const { thunks } of this.#nodes) {
      for (const { input, gradient, node } of thunks) {
        gradients.add(input.id, callDeferred(node, input, gradient));
      }
    }
    this.#disposeNodes();
    for (const node of this.#route.weightNodes) walkNode(node, gradients, this.#route, () => true);
    const result = this.#variables.map(variable => gradients.take(variable.id));
    gradients.disposeAll();
    return result;
  }

  /**
   * Runs W of several micro-batches of one stage; gives the gradients of one after the other as `compute` does, so that only
   * one micro-batch's wait to be added. What is a product over samples becomes one product over all of them, where that is
   * less work than summing, and counts for the first.
   */
  static *computeAll(parts: readonly DeferredWeightGradients[]): Generator<(tf.Tensor | undefined)[]> {
    if (parts.length > 1) DeferredWeightGradients.#joinProducts(parts);
    for (const part of parts) yield part.compute();
  }

  /**
   * Takes out of W what is one product over samples for a variable, where `wanted` says so of the products of all `parts`, which
   * are micro-batches of one stage. A variable may have a gradient besides, from another call of its layer.
   *
   * @returns products by variable. Their factors must be made before W
   */
  static takeProducts(
    parts: readonly DeferredWeightGradients[],
    wanted: (variable: number, products: readonly SampleProduct[]) => boolean,
  ): ReadonlyMap<number, readonly SampleProduct[]> {
    const taken = new Map<number, readonly SampleProduct[]>();
    const [first] = parts;
    if (first === undefined || !DeferredWeightGradients.#areAlike(parts)) return taken;
    const indexOf = new Map(first.#variables.map(({ id }, index) => [id, index]));
    DeferredWeightGradients.#forEachProduct(parts, (products, input, node) => {
      const variable = indexOf.get(input.id);
      if (variable === undefined || taken.has(variable) || !wanted(variable, products)) return false;
      const inItsLayer = (product: SampleProduct): SampleProduct => ({
        ...product,
        factors: () => inLayer(node, product.factors),
      });
      taken.set(variable, products.map(inItsLayer));
      return true;
    });
    return taken;
  }

  static #joinProducts(parts: readonly DeferredWeightGradients[]): void {
    if (!DeferredWeightGradients.#areAlike(parts)) return;
    const gradients = parts[0]!.#gradients;
    DeferredWeightGradients.#forEachProduct(parts, (products, input, node) => {
      if (!isWorthJoining(products, input.size)) return false;
      gradients.add(
        input.id,
        callDeferred(node, input, () => joinProducts(products)),
      );
      return true;
    });
  }

  /** A user's layer may do something else at every call: nothing is joined then, nor where the weights are others. */
  static #areAlike([first, ...others]: readonly DeferredWeightGradients[]): boolean {
    return others.every(other => other.#nodes.length === first!.#nodes.length);
  }

  /** Shows what is a product in all parts, and takes it out of them where `take` returns true. */
  static #forEachProduct(
    parts: readonly DeferredWeightGradients[],
    take: (products: readonly SampleProduct[], input: tf.Tensor, node: TapeNode) => boolean,
  ): void {
    for (const [index, { thunks }] of parts[0]!.#nodes.entries()) {
      // From the last: what is taken leaves the lists.
      for (let place = thunks.length - 1; place >= 0; place--) {
        const lists = parts.map(part => part.#nodes[index]!.thunks);
        const like = thunks[place]!;
        const products = lists.map(list => joinable(list[place], like));
        if (!areProducts(products) || !take(products, like.input, like.node)) continue;
        for (const list of lists) list.splice(place, 1);
      }
    }
  }

  /** Drops what is deferred without computing it. */
  dispose(): void {
    this.#disposeNodes();
    this.#gradients.disposeAll();
  }

  #disposeNodes(): void {
    for (const { owned } of this.#nodes) tf.dispose([...owned]);
    this.#nodes.length = 0;
  }
}

/** The product behind a thunk, if it stands for the same weight of the same kernel as `like`. */
function joinable(thunk: DeferredThunk | undefined, like: DeferredThunk): SampleProduct | undefined {
  const isAlike = thunk?.node.kernelName === like.node.kernelName && thunk.input.id === like.input.id;
  return isAlike ? sampleProductOf(thunk.gradient) : undefined;
}

function areProducts(products: readonly (SampleProduct | undefined)[]): products is readonly SampleProduct[] {
  return !products.includes(undefined);
}

/**
 * Joining reads and writes all operands once; summing writes every gradient but the first, then reads it and the sum and
 * writes the sum. For a dense layer of 512 × 512 and two micro-batches of 64 rows that is 0.5 MB against 4; filters of
 * convolutions are small beside their images and are summed.
 */
function isWorthJoining(products: readonly SampleProduct[], gradientSize: number): boolean {
  const joined = products.reduce((sum, product) => sum + 2 * product.factorSize, 0);
  return joined < 4 * (products.length - 1) * gradientSize;
}

/** Gradients by tensor id; the map owns the tensors in it. */
class GradientMap {
  readonly #gradients: Map<number, tf.Tensor>;

  constructor(seeds: ReadonlyMap<number, tf.Tensor>) {
    this.#gradients = new Map(seeds);
  }

  add(id: number, gradient: tf.Tensor): void {
    const current = this.#gradients.get(id);
    if (current === undefined) {
      this.#gradients.set(id, gradient);
      return;
    }
    this.#gradients.set(id, tf.add(current, gradient));
    current.dispose();
    gradient.dispose();
  }

  take(id: number): tf.Tensor | undefined {
    const gradient = this.#gradients.get(id);
    this.#gradients.delete(id);
    return gradient;
  }

  disposeAll(): void {
    for (const gradient of this.#gradients.values()) gradient.dispose();
    this.#gradients.clear();
  }
}

/** The nodes on a path from a wanted leaf to an output, last first, parted into the two sides. */
interface Route {
  readonly needed: ReadonlySet<number>;
  readonly sampleSide: ReadonlySet<number>;
  readonly sampleNodes: readonly TapeNode[];
  readonly weightNodes: readonly TapeNode[];
}

function findRoute({ tape, samples, inputs, variables, seeds }: BackwardRequest): Route {
  const needed = new Set([...inputs, ...variables].map(leaf => leaf.id));
  const sampleSide = new Set(samples.map(sample => sample.id));
  const reached: boolean[] = [];
  for (const [index, node] of tape.entries()) {
    let needs = false;
    let sampled = false;
    for (const input of Object.values(node.inputs)) {
      needs ||= needed.has(input.id);
      sampled ||= sampleSide.has(input.id);
    }
    reached[index] = needs;
    for (const output of node.outputs) {
      if (needs) needed.add(output.id);
      if (sampled) sampleSide.add(output.id);
    }
  }
  const leadsToOutput = new Set(seeds.keys());
  const sampleNodes: TapeNode[] = [];
  const weightNodes: TapeNode[] = [];
  for (let index = tape.length - 1; index >= 0; index--) {
    const node = tape[index]!;
    if (!node.outputs.some(output => leadsToOutput.has(output.id))) continue;
    for (const input of Object.values(node.inputs)) leadsToOutput.add(input.id);
    if (!reached[index]) continue;
    const sampled = node.outputs.some(output => sampleSide.has(output.id));
    (sampled ? sampleNodes : weightNodes).push(node);
  }
  return { needed, sampleSide, sampleNodes, weightNodes };
}

/** Moves gradients through one node; returns what is left for W, if anything is. */
function walkNode(
  node: TapeNode,
  gradients: GradientMap,
  route: Route,
  isImmediate: (id: number) => boolean,
): DeferredNode | undefined {
  const outputGradients = node.outputs.map(output => gradients.take(output.id) ?? null);
  if (outputGradients.every(gradient => gradient === null)) return undefined;
  try {
    return walkGradients(node, outputGradients, gradients, route, isImmediate);
  } catch (error) {
    tf.dispose(outputGradients.filter(gradient => gradient !== null));
    throw located(node, error);
  }
}

/** Says which layer a node belongs to. */
function located(node: TapeNode, error: unknown): unknown {
  const layer = tapeLabel(node);
  return layer === undefined || error instanceof LayerFailure ? error : new LayerFailure(layer, error);
}

function walkGradients(
  node: TapeNode,
  outputGradients: readonly (tf.Tensor | null)[],
  gradients: GradientMap,
  route: Route,
  isImmediate: (id: number) => boolean,
): DeferredNode | undefined {
  if (node.gradient === undefined) {
    throw new MillraceError(
      'MILLRACE_NO_GRADIENT',
      `tfjs has no gradient for the operation '${node.kernelName}', which the loss depends on.`,
    );
  }
  const gradientOf = node.gradient;
  const thunks: DeferredThunk[] = [];
  const immediate: { id: number; gradient: tf.Tensor }[] = [];
  const { owned } = collectTensors(() => {
    const inputGradients = gradientOf([...outputGradients]);
    for (const [name, input] of Object.entries(node.inputs)) {
      if (!route.needed.has(input.id)) continue;
      const gradient = inputGradients[name];
      if (gradient === undefined) {
        throw new MillraceError(
          'MILLRACE_NO_GRADIENT',
          `The gradient of '${node.kernelName}' gives nothing for its input '${name}'.`,
        );
      }
      if (isImmediate(input.id)) {
        immediate.push({ id: input.id, gradient: callThunk(node, input, gradient) });
      } else {
        thunks.push({ input, gradient, node });
      }
    }
  });
  const passedOn = new Set(immediate.map(({ gradient }) => gradient.id));
  const leftOver = [
    ...owned.filter(tensor => !passedOn.has(tensor.id)),
    ...outputGradients.filter(gradient => gradient !== null),
  ];
  for (const { id, gradient } of immediate) gradients.add(id, gradient);
  if (thunks.length > 0) return { thunks, owned: leftOver };
  tf.dispose(leftOver);
  return undefined;
}

function callDeferred(node: TapeNode, input: tf.Tensor, gradient: () => tf.Tensor): tf.Tensor {
  return inLayer(node, () => callThunk(node, input, gradient));
}

/** Names the node's layer in what `work` throws. */
function inLayer<T>(node: TapeNode, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw located(node, error);
  }
}

/**
 * Calls a thunk so that its result is a tensor of its own. Some thunks return an output gradient or an eager result as it
 * is, even the same one twice; a clone shares the data and costs a few microseconds.
 */
function callThunk(node: TapeNode, input: tf.Tensor, gradient: () => tf.Tensor): tf.Tensor {
  const value = tf.tidy(() => tf.clone(gradient()));
  if (value.dtype !== 'float32' || !tf.util.arraysEqual(value.shape, input.shape)) {
    throw new MillraceError(
      'MILLRACE_NO_GRADIENT',
      `The gradient of '${node.kernelName}' has dtype ${value.dtype} and shape [${value.shape}] where float32 and ` +
        `[${input.shape}] are due.`,
    );
  }
  return value;
}
