/** A function of tensors and weights that becomes graphs once it has been called a few times with inputs of the same shapes. */
import type * as tf from '@tensorflow/tfjs';
import type { Backend } from '../../backends/index.js';
import { formOf } from '../../tfjs/form.js';
import { isTapeOn } from '../../tfjs/internals.js';
import { type Learning, type TracedCall, trace } from './trace.js';
import { runTraced } from './traced-kernel.js';

/**
 * Calls that run op by op before a function is traced, which takes as long as some dozens of them: a short run, or the odd size of an
 * epoch's last mini-batch, is not worth it.
 */
export const CALLS_BEFORE_TRACE = 8;

/** Combinations of shapes that a function is traced for; further ones run op by op. */
const MOST_TRACES = 16;

/** Combinations whose calls are counted at a time. */
const MOST_COUNTED = 256;

export interface TraceableFunction {
  /** All that it reads besides its inputs. */
  readonly weights: readonly tf.Variable[];
  /** Computes the same operations at each call with tensors of the same shapes. */
  readonly call: (
    inputs: readonly tf.Tensor[],
    constants: readonly tf.Tensor[],
    training: boolean,
  ) => tf.Tensor;
  readonly learns: Learning;
}

export class TracedFunction {
  readonly #backend: Backend;
  readonly #function: TraceableFunction;
  /** By shapes, of those that are not traced yet. */
  readonly #callCounts = new Map<string, number>();
  /** By shapes; `undefined` for what cannot be a graph. */
  readonly #traced = new Map<string, TracedCall | undefined>();

  constructor(backend: Backend, traceable: TraceableFunction) {
    this.#backend = backend;
    this.#function = traceable;
  }

  /**
   * Runs the graphs, on the tape if it is on.
   *
   * @param constants tensors that it reads and that have no gradients
   * @returns `undefined` while there are none, where there cannot be, and where TensorFlow does not run them: the function is to be
   *   called itself then, and says what is wrong if it is the inputs
   */
  run(
    inputs: readonly tf.Tensor[],
    constants: readonly tf.Tensor[],
    training: boolean,
  ): tf.Tensor | undefined {
    const trains = training || isTapeOn();
    const key = [`${training} ${trains}`, ...[...inputs, ...constants].map(formOf)].join();
    if (!this.#traced.has(key)) {
      if (!this.#isDue(key)) return undefined;
      this.#traced.set(key, this.#trace(inputs, constants, training, trains));
    }
    const traced = this.#traced.get(key);
    if (traced === undefined) return undefined;
    try {
      return runTraced(this.#backend.name, traced, inputs, constants, this.#function.weights)[0];
    } catch {
      return undefined;
    }
  }

  #isDue(key: string): boolean {
    if (this.#traced.size >= MOST_TRACES) return false;
    const count = this.#callCounts.get(key) ?? 0;
    if (count >= CALLS_BEFORE_TRACE) return this.#callCounts.delete(key);
    if (this.#callCounts.size >= MOST_COUNTED) this.#callCounts.clear();
    this.#callCounts.set(key, count + 1);
    return false;
  }

  #trace(
    inputs: readonly tf.Tensor[],
    constants: readonly tf.Tensor[],
    training: boolean,
    trains: boolean,
  ): TracedCall | undefined {
    const { weights, call, learns } = this.#function;
    try {
      return trace(this.#backend.fused!.recordParts!, {
        // Nobody asked for graphs, so nobody is told where there are none.
        name: undefined,
        inputs,
        masks: constants,
        weights,
        call: (given, constant) => [call(given, constant, training)],
        trains,
        learns,
      });
    } catch {
      // The function has been called with such inputs and will be again: whatever is wrong with it comes out there.
      return undefined;
    }
  }
}
