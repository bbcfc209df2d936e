/** One call of a layer that is run and timed by itself, as its stage runs it before layers become graphs together. Times are in milliseconds. */

import type { Backend } from '../backends/index.js';
import { nowMs } from '../protocol/clock.js';
import { type NodeSpec, optimizerEntries, type StageSpec } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';
import { byteLengthOf } from '../tfjs/bytes.js';
import { disposeTape, recordTape, type TapeNode } from '../tfjs/internals.js';
import { adaptLayer } from './adapt-layer.js';
import { backwardInput, type DeferredWeightGradients } from './backward.js';
import { StageLayers } from './layers.js';
import type { MeasuredLoss } from './measured-loss.js';
import type { Value } from './value.js';
import { WeightGradients } from './weight-gradients.js';

/** One pass calls `forward`, `backwardInput`, `backwardWeight` and `accumulate` in this order; each returns its milliseconds. */
export class MeasuredNode {
  /** Weights that an optimizer would step, in the order of `gradients`. */
  readonly variables: readonly tf.Variable[];
  /** Of the outputs of the last forward pass. */
  outputBytes = 0;
  readonly #inputs: readonly number[];
  readonly #outputs: readonly number[];
  /** Inputs with a trainable weight upstream, whose gradient training computes too. */
  readonly #learnedInputs: readonly number[];
  readonly #layers: StageLayers;
  readonly #sums: WeightGradients;
  readonly #losses: readonly MeasuredLoss[];
  #tape: readonly TapeNode[] = [];
  /** Of the model outputs among the outputs, by value. */
  #lossIds: ReadonlyMap<number, number> = new Map();
  #deferred: DeferredWeightGradients | undefined;
  #fresh: readonly (tf.Tensor | undefined)[] = [];

  /**
   * @param spec of the stage
   * @param first the call
   * @param following an activation that its kernel may apply: the two are measured as one then
   * @param learned values with a trainable weight upstream; those of this node are added
   * @param losses of the model's outputs
   * @param tracedLayers classes of layers that run as graphs
   * @throws whatever building the layer throws; nothing is left of it then
   */
  constructor(
    backend: Backend,
    spec: StageSpec,
    first: NodeSpec,
    following: NodeSpec | undefined,
    learned: Set<number>,
    losses: readonly MeasuredLoss[],
    tracedLayers: readonly string[],
  ) {
    const { layer, inputs } = first;
    const calls = following === undefined ? [first] : [first, following];
    const { outputs } = calls.at(-1)!;
    const alone: StageSpec = {
      ...spec,
      layers: calls.map(call => spec.layers[call.layer]!),
      nodes: calls.map((call, index) => ({ ...call, layer: index })),
      trainable: spec.trainable
        .filter(weight => weight.layer === layer)
        .map(weight => ({ ...weight, layer: 0 })),
      copies: [],
    };
    this.#inputs = inputs;
    this.#outputs = outputs;
    this.#losses = losses.filter(({ value }) => outputs.includes(value));
    this.#layers = new StageLayers(alone, built => adaptLayer(built, backend, tracedLayers));
    this.#sums = new WeightGradients(alone, this.#layers, backend);
    this.variables = optimizerEntries(alone).map(({ weight }) => this.#sums.variables[weight]!);
    this.#learnedInputs = inputs.filter(id => learned.has(id));
    if (this.#sums.variables.length > 0 || this.#learnedInputs.length > 0)
      for (const id of outputs) learned.add(id);
  }

  /** Runs the layer, and the loss of what it makes, with the tape on; its outputs go into `values`, whose owner disposes them. */
  forward(values: Map<number, Value>): number {
    const start = nowMs();
    const { result, tape } = recordTape(() => {
      const local = new Map(values);
      this.#layers.call(local, true);
      const losses = this.#losses.map(of => ({ of, loss: of.loss(local.get(of.value)!.tensor) }));
      const outputs = this.#outputs.map(id => {
        const { tensor, mask } = local.get(id)!;
        return {
          id,
          tensor: tf.keep(tensor),
          mask: mask === undefined ? undefined : tf.keep(tf.clone(mask)),
        };
      });
      return { losses, outputs };
    });
    this.#tape = tape;
    this.outputBytes = 0;
    for (const { id, tensor, mask } of result.outputs) {
      values.set(id, { tensor, mask });
      this.outputBytes += byteLengthOf(tensor);
    }
    const lossIds = new Map<number, number>();
    for (const { of, loss } of result.losses) {
      of.report(loss, values.get(of.value)!.tensor);
      if (loss === undefined) continue;
      lossIds.set(of.value, loss.id);
      loss.dispose();
    }
    this.#lossIds = lossIds;
    return nowMs() - start;
  }

  /** Gradients of the inputs, from the loss where there is one, or from ones. */
  backwardInput(values: ReadonlyMap<number, Value>): number {
    const seeds = new Map<number, tf.Tensor>();
    for (const id of this.#outputs) {
      const { tensor } = values.get(id)!;
      const loss = this.#lossIds.get(id);
      if (loss !== undefined) seeds.set(loss, tf.scalar(1));
      else if (tensor.dtype === 'float32') seeds.set(tensor.id, tf.onesLike(tensor));
    }
    const start = nowMs();
    const { inputGradients, deferred } = backwardInput({
      tape: this.#tape,
      samples: this.#inputs.map(id => values.get(id)!.tensor),
      inputs: this.#learnedInputs.map(id => values.get(id)!.tensor),
      variables: this.#sums.variables,
      seeds,
    });
    const ms = nowMs() - start;
    this.#deferred = deferred;
    tf.dispose(inputGradients.filter(gradient => gradient !== undefined));
    return ms;
  }

  /** Gradients of the weights, from what B has left. */
  backwardWeight(): number {
    const start = nowMs();
    this.#fresh = this.#deferred!.compute();
    const ms = nowMs() - start;
    this.#deferred = undefined;
    this.#disposeTape();
    return ms;
  }

  /** Adds them to those of earlier passes, as those of a further micro-batch are. */
  accumulate(): number {
    const fresh = this.#fresh;
    this.#fresh = [];
    const start = nowMs();
    for (const [index, gradient] of fresh.entries()) {
      if (gradient !== undefined) this.#sums.add(index, gradient, 0);
    }
    return nowMs() - start;
  }

  /** What has been added up, for `variables`. */
  get gradients(): readonly (tf.Tensor | undefined)[] {
    return [...this.#sums.ofEntries()];
  }

  /** Drops what a broken pass has left. */
  clear(): void {
    this.#deferred?.dispose();
    this.#deferred = undefined;
    tf.dispose(this.#fresh.filter(gradient => gradient !== undefined));
    this.#fresh = [];
    this.#disposeTape();
  }

  #disposeTape(): void {
    disposeTape(this.#tape);
    this.#tape = [];
  }

  dispose(): void {
    this.clear();
    this.#sums.clear();
    this.#layers.dispose();
  }
}
