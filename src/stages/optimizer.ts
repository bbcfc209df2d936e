/**
 * The optimizer of one stage: tfjs's own, or the backend's in-place form of it, over the stage's weights alone. Every rule
 * that tfjs ships treats each weight by itself, so the parts together do what one optimizer over the whole model does.
 */
import * as tf from '@tensorflow/tfjs';
import type { InPlaceOptimizer, InPlaceOptimizerFactory } from '../backends/index.js';
import type { CompileSpec } from '../protocol/stage-spec.js';
import type { OptimizerState } from '../protocol/worker-api.js';
import { bytesOf } from '../tfjs/bytes.js';
import {
  disposeOptimizer,
  fromRegisteredConfig,
  hasReadableSlots,
  setLearningRate,
} from '../tfjs/internals.js';

interface NamedTensor {
  readonly name: string;
  readonly tensor: tf.Tensor;
}

export class StageOptimizer {
  readonly #spec: CompileSpec['optimizer'];
  readonly #variables: readonly tf.Variable[];
  readonly #makeInPlace: InPlaceOptimizerFactory | undefined;
  #optimizer: tf.Optimizer;
  #inPlace: InPlaceOptimizer | undefined;

  /** @param makeInPlace the backend's optimizers; without them tfjs's own steps */
  constructor(
    spec: CompileSpec['optimizer'],
    variables: readonly tf.Variable[],
    makeInPlace?: InPlaceOptimizerFactory,
  ) {
    this.#spec = spec;
    this.#variables = variables;
    this.#makeInPlace = makeInPlace;
    this.#optimizer = this.#make();
  }

  #make(): tf.Optimizer {
    const { className, config } = this.#spec;
    const optimizer = fromRegisteredConfig<tf.Optimizer>(className, config, 'optimizer');
    if (this.#variables.length > 0) this.#inPlace = this.#makeInPlace?.(optimizer, this.#variables);
    return optimizer;
  }

  /** Forgets all slots, which nobody can write from outside. */
  reset(): void {
    this.dispose();
    this.#optimizer = this.#make();
  }

  /** One step. A variable without a gradient stays as it is, but keeps its place in the optimizer's lists. */
  apply(gradients: readonly (tf.Tensor | undefined)[], learningRate: number): void {
    if (this.#variables.length === 0) return;
    if (this.#inPlace !== undefined) {
      this.#inPlace.apply(gradients, learningRate);
      return;
    }
    if (!Number.isNaN(learningRate)) setLearningRate(this.#optimizer, learningRate);
    const named = this.#variables.map(({ name }, index) => ({ name, tensor: gradients[index] }));
    this.#optimizer.applyGradients(named as Parameters<tf.Optimizer['applyGradients']>[0]);
  }

  /** Slots as raw bytes: groups of one buffer a variable. An optimizer that has not stepped has none. */
  async read(): Promise<OptimizerState> {
    if (this.#inPlace !== undefined) {
      const groups = this.#inPlace.readSlots();
      const state = { iterations: this.#inPlace.iterations, groups: groups.map(group => group.map(bytesOf)) };
      tf.dispose(groups);
      return state;
    }
    const [iterations, ...slots] = await this.#weights();
    if (iterations === undefined) return { iterations: this.#optimizer.iterations, groups: [] };
    const count = (await iterations.tensor.data())[0]!;
    iterations.tensor.dispose();
    const perGroup = this.#variables.length;
    const groups: ArrayBuffer[][] = [];
    for (let start = 0; perGroup > 0 && start + perGroup <= slots.length; start += perGroup) {
      groups.push(slots.slice(start, start + perGroup).map(({ tensor }) => bytesOf(tensor)));
    }
    return { iterations: count, groups };
  }

  async write({ iterations, groups }: OptimizerState): Promise<void> {
    if (this.#inPlace !== undefined) {
      const inPlace = this.#inPlace;
      tf.tidy(() => {
        const tensors = groups.map(group =>
          group.map((buffer, index) => tf.tensor(new Float32Array(buffer), this.#variables[index]!.shape)),
        );
        inPlace.writeSlots(iterations, tensors);
      });
      return;
    }
    const slots = groups.flatMap((group, groupIndex) =>
      group.map((buffer, index) => {
        const { name, shape } = this.#variables[index]!;
        return { name: `${name}/slot${groupIndex}`, tensor: tf.tensor(new Float32Array(buffer), shape) };
      }),
    );
    // tfjs forgets the slots that it replaces.
    const replaced = await this.#weights();
    const counter = { name: 'iter', tensor: tf.scalar(iterations, 'int32') };
    await this.#optimizer.setWeights([counter, ...slots]);
    counter.tensor.dispose();
    for (const { tensor } of replaced) tensor.dispose();
    for (const { tensor } of slots) tensor.dispose();
  }

  /** None of tfjs's Adamax, whose slots cannot be read; what any other optimizer throws is a failure. */
  async #weights(): Promise<NamedTensor[]> {
    return hasReadableSlots(this.#optimizer) ? this.#optimizer.getWeights() : [];
  }

  dispose(): void {
    disposeOptimizer(this.#optimizer);
    this.#inPlace?.dispose();
  }
}
