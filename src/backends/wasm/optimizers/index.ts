/**
 * Optimizers on the WebAssembly heap: one pass over weight, gradient and slots a step. tfjs makes up to fifteen passes with
 * a new buffer each.
 *
 * Slots stay where they are. A weight moves to new memory in every step, as tfjs's `assign` does it: XNNPACK keeps packed
 * copies of weights by tensor id, and a new value under the old id would go unnoticed (see `kernels/heap.ts`).
 */
import { tf } from '../../../tf.js';
import type { InPlaceOptimizer } from '../../in-place-optimizer.js';
import { addressOf, routines, type WasmBackend, wasmBackend } from '../kernels/heap.js';
import { newTensor } from '../tensors.js';
import { type Rule, ruleFor } from './rules.js';

export function heapOptimizer(
  optimizer: tf.Optimizer,
  variables: readonly tf.Variable[],
): InPlaceOptimizer | undefined {
  if (variables.some(({ dtype }) => dtype !== 'float32')) return undefined;
  const rule = ruleFor(optimizer);
  if (rule === undefined) return undefined;
  const { learningRate } = optimizer.getConfig() as { learningRate: number };
  return new HeapOptimizer(rule, variables, learningRate);
}

class HeapOptimizer implements InPlaceOptimizer {
  readonly #backend: WasmBackend = wasmBackend(tf.backend());
  readonly #rule: Rule;
  readonly #variables: readonly tf.Variable[];
  #learningRate: number;
  /** By variable, then by the rule's order; empty before the first step. */
  #slots: tf.Tensor[][] = [];
  iterations = 0;

  constructor(rule: Rule, variables: readonly tf.Variable[], learningRate: number) {
    this.#rule = rule;
    this.#variables = variables;
    this.#learningRate = learningRate;
  }

  apply(...[gradients, learningRate, onStepped]: Parameters<InPlaceOptimizer['apply']>): void {
    if (!Number.isNaN(learningRate)) this.#learningRate = learningRate;
    if (this.#slots.length === 0) {
      this.#slots = this.#variables.map(({ shape }) =>
        this.#rule.slots.map(initial => tf.keep(tf.fill(shape, initial))),
      );
    }
    const scalars = this.#rule.begin(this.#learningRate);
    let next = 0;
    for (const gradient of gradients) {
      const index = next++;
      if (gradient === undefined) continue;
      this.#step(index, gradient, scalars);
      onStepped?.(index);
    }
    this.iterations += 1;
  }

  #step(index: number, gradient: tf.Tensor, scalars: readonly number[]): void {
    const variable = this.#variables[index]!;
    const target = newTensor(this.#backend, variable.shape);
    const operands = [variable, gradient, ...this.#slots[index]!, target];
    const run = routines(this.#backend)[this.#rule.step];
    run(...operands.map(operand => addressOf(this.#backend, operand)), variable.size, ...scalars);
    variable.assign(target);
    target.dispose();
  }

  readSlots(): tf.Tensor[][] {
    if (this.#slots.length === 0) return [];
    return this.#rule.slots.map((_, group) => this.#slots.map(slots => copy(slots[group]!)));
  }

  writeSlots(iterations: number, groups: readonly (readonly tf.Tensor[])[]): void {
    this.iterations = iterations;
    this.#rule.resume(iterations);
    this.#disposeSlots();
    const count = this.#rule.slots.length;
    if (groups.length < count) return;
    this.#slots = this.#variables.map((_, index) =>
      groups.slice(0, count).map(group => tf.keep(copy(group[index]!))),
    );
  }

  #disposeSlots(): void {
    tf.dispose(this.#slots);
    this.#slots = [];
  }

  dispose(): void {
    this.#disposeSlots();
  }
}

/** `tf.clone` would share the memory. */
function copy(tensor: tf.Tensor): tf.Tensor {
  return tf.tensor(tensor.dataSync(), tensor.shape);
}
