/**
 * tfjs's optimizers as one op per weight and step. Which ops, and in what memory: TensorFlow's on resource variables, or, where replicas
 * share the weights, Millrace's own on the very memory that they share.
 */
import { tf } from '../../../tf.js';
import type { InPlaceOptimizer, InPlaceOptimizerFactory } from '../../in-place-optimizer.js';
import { hasKernels } from '../kernels.js';
import type { HeldSlot, HeldWeight, Memory } from './held.js';
import { OWN_RULES } from './own-rules.js';
import { placedMemory } from './placed-memory.js';
import { RESOURCE_MEMORY } from './resource-memory.js';
import { RESOURCE_RULES } from './resource-rules.js';
import { type Rule, ruleFor } from './rule.js';

export const opOptimizer: InPlaceOptimizerFactory = (optimizer, variables, places) => {
  if (variables.some(({ dtype }) => dtype !== 'float32')) return undefined;
  const isPlaced = places !== undefined && hasKernels();
  const rule = ruleFor(optimizer, isPlaced ? OWN_RULES : RESOURCE_RULES);
  if (rule === undefined) return undefined;
  const { learningRate } = optimizer.getConfig() as { learningRate: number };
  return new OpOptimizer(rule, variables, isPlaced ? placedMemory(places) : RESOURCE_MEMORY, learningRate);
};

class OpOptimizer implements InPlaceOptimizer {
  readonly #rule: Rule;
  readonly #variables: readonly tf.Variable[];
  readonly #memory: Memory;
  #learningRate: number;
  /** A tied weight may stand in the list more than once, with slots for each place. */
  readonly #weights = new Map<tf.Variable, HeldWeight>();
  /** By variable, then by the rule's order; empty before the first step. */
  #slots: HeldSlot[][] = [];
  iterations = 0;

  constructor(rule: Rule, variables: readonly tf.Variable[], memory: Memory, learningRate: number) {
    this.#rule = rule;
    this.#variables = variables;
    this.#memory = memory;
    this.#learningRate = learningRate;
  }

  apply(...[gradients, learningRate, onStepped]: Parameters<InPlaceOptimizer['apply']>): void {
    if (!Number.isNaN(learningRate)) this.#learningRate = learningRate;
    if (this.#slots.length === 0) this.#slots = this.#variables.map(variable => this.#initialSlots(variable));
    tf.tidy(() => {
      const update = this.#rule.begin(this.iterations, this.#learningRate);
      let next = 0;
      for (const gradient of gradients) {
        const index = next++;
        if (gradient === undefined) continue;
        const slots = this.#slots[index]!.map(({ operand }) => operand);
        this.#held(index).update(weight => update(weight, slots, gradient));
        onStepped?.(index);
      }
    });
    this.iterations += 1;
  }

  #held(index: number): HeldWeight {
    const variable = this.#variables[index]!;
    const held = this.#weights.get(variable) ?? this.#memory.weight(variable, index);
    this.#weights.set(variable, held);
    return held;
  }

  #initialSlots({ shape }: tf.Variable): HeldSlot[] {
    return this.#rule.slots.map(({ initial, scale, offset }) => {
      const value = tf.fill(shape, initial * scale + offset);
      const slot = this.#memory.slot(value);
      value.dispose();
      return slot;
    });
  }

  readSlots(): tf.Tensor[][] {
    const { isReadable, slots } = this.#rule;
    if (!isReadable || this.#slots.length === 0) return [];
    return slots.map(({ scale, offset }, group) =>
      this.#slots.map(held => {
        const slot = held[group]!.read();
        if (offset === 0 && scale === 1) return slot;
        const saved = tf.tidy(() => tf.div(tf.sub(slot, offset), scale));
        slot.dispose();
        return saved;
      }),
    );
  }

  writeSlots(iterations: number, groups: readonly (readonly tf.Tensor[])[]): void {
    const { slots } = this.#rule;
    this.iterations = iterations;
    this.#rule.resume(iterations);
    this.#disposeSlots();
    if (groups.length < slots.length) return;
    this.#slots = this.#variables.map((_, index) =>
      slots.map(({ scale, offset }, group) => {
        const saved = groups[group]![index]!;
        if (offset === 0 && scale === 1) return this.#memory.slot(saved);
        const stored = tf.tidy(() => tf.add(tf.mul(saved, scale), offset));
        const slot = this.#memory.slot(stored);
        stored.dispose();
        return slot;
      }),
    );
  }

  #disposeSlots(): void {
    for (const slot of this.#slots.flat()) slot.dispose();
    this.#slots = [];
  }

  dispose(): void {
    this.#disposeSlots();
    for (const weight of this.#weights.values()) weight.dispose();
    this.#weights.clear();
  }
}
