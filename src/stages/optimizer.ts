/**
 * The optimizer of one stage: tfjs's own, or the backend's in-place form of it, over what the stage steps alone. Every rule
 * that tfjs ships treats each element of a weight by itself, and a user's is taken to treat each weight by itself, so the parts together do
 * what one optimizer over the whole model does.
 */

import type { InPlaceOptimizer, InPlaceOptimizerFactory, Place } from '../backends/index.js';
import type { CompileSpec } from '../protocol/stage-spec.js';
import type { OptimizerState, TensorBytes } from '../protocol/worker-api.js';
import { tf } from '../tf.js';
import { tensorOver } from '../tfjs/bytes.js';
import {
  disposeOptimizer,
  fromRegisteredConfig,
  hasReadableSlots,
  setLearningRate,
} from '../tfjs/internals.js';
import type { Outbox } from './outbox.js';

interface NamedTensor {
  readonly name: string;
  readonly tensor: tf.Tensor;
}

export class StageOptimizer {
  readonly #spec: CompileSpec['optimizer'];
  readonly #variables: readonly tf.Variable[];
  readonly #makeInPlace: InPlaceOptimizerFactory | undefined;
  readonly #places: readonly (Place | undefined)[] | undefined;
  #optimizer: tf.Optimizer;
  #inPlace: InPlaceOptimizer | undefined;

  /**
   * @param makeInPlace the backend's optimizers; without them tfjs's own steps
   * @param places where replicas read the variables, none for one that is never stepped
   */
  constructor(
    spec: CompileSpec['optimizer'],
    variables: readonly tf.Variable[],
    makeInPlace?: InPlaceOptimizerFactory,
    places?: readonly (Place | undefined)[],
  ) {
    this.#spec = spec;
    this.#variables = variables;
    this.#makeInPlace = makeInPlace;
    this.#places = places;
    this.#optimizer = this.#make();
  }

  #make(): tf.Optimizer {
    const { className, config } = this.#spec;
    const optimizer = fromRegisteredConfig<tf.Optimizer>(className, config, 'optimizer');
    if (this.#variables.length > 0)
      this.#inPlace = this.#makeInPlace?.(optimizer, this.#variables, this.#places);
    return optimizer;
  }

  /** Forgets all slots, which nobody can write from outside. */
  reset(): void {
    this.dispose();
    this.#optimizer = this.#make();
  }

  /**
   * One step. A variable without a gradient stays as it is, but keeps its place in the optimizer's lists. See `InPlaceOptimizer.apply`;
   * tfjs's own optimizers ask for all gradients first.
   */
  apply(...[gradients, learningRate, onStepped]: Parameters<InPlaceOptimizer['apply']>): void {
    if (this.#variables.length === 0) return;
    if (this.#inPlace !== undefined) {
      this.#inPlace.apply(gradients, learningRate, onStepped);
      return;
    }
    if (!Number.isNaN(learningRate)) setLearningRate(this.#optimizer, learningRate);
    const tensors = [...gradients];
    const named = this.#variables.map(({ name }, index) => ({ name, tensor: tensors[index] }));
    this.#optimizer.applyGradients(named as Parameters<tf.Optimizer['applyGradients']>[0]);
    for (const [index, tensor] of tensors.entries()) if (tensor !== undefined) onStepped?.(index);
  }

  /** Slots as raw bytes: groups of one entry a variable. An optimizer that has not stepped has none. */
  async read(outbox: Outbox): Promise<OptimizerState> {
    const perGroup = this.#variables.length;
    const grouped = (slots: readonly tf.Tensor[]): TensorBytes[][] => {
      const bytes = outbox.put(slots);
      const groupCount = perGroup === 0 ? 0 : Math.floor(slots.length / perGroup);
      return Array.from({ length: groupCount }, (_, group) =>
        bytes.slice(group * perGroup, (group + 1) * perGroup),
      );
    };
    if (this.#inPlace !== undefined) {
      const slots = this.#inPlace.readSlots().flat();
      const groups = grouped(slots);
      tf.dispose(slots);
      return { iterations: this.#inPlace.iterations, groups };
    }
    const [iterations, ...slots] = await this.#weights();
    if (iterations === undefined) return { iterations: this.#optimizer.iterations, groups: [] };
    const count = (await iterations.tensor.data())[0]!;
    iterations.tensor.dispose();
    return { iterations: count, groups: grouped(slots.map(({ tensor }) => tensor)) };
  }

  async write({ iterations, groups }: OptimizerState): Promise<void> {
    if (this.#inPlace !== undefined) {
      const inPlace = this.#inPlace;
      tf.tidy(() => {
        const tensors = groups.map(group =>
          group.map((bytes, index) => tensorOver(bytes, this.#variables[index]!.shape, 'float32')),
        );
        inPlace.writeSlots(iterations, tensors);
      });
      return;
    }
    const slots = groups.flatMap((group, groupIndex) =>
      group.map((bytes, index) => {
        const { name, shape } = this.#variables[index]!;
        return { name: `${name}/slot${groupIndex}`, tensor: tensorOver(bytes, shape, 'float32') };
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
