/** Loss and metrics of one model output on made-up targets, for whoever times the layers that make it. */
import * as tf from '@tensorflow/tfjs';
import type { NamedFunction } from '../protocol/stage-spec.js';
import type { OutputFunctions } from './functions.js';

export class MeasuredLoss {
  readonly value: number;
  readonly #functions: OutputFunctions;
  readonly #takesLabels: boolean;
  #target: tf.Tensor | undefined;
  /** A function of the user's own may ask for targets of another shape: it is left out then. */
  #isKnown = true;

  /** @param value the model's output */
  constructor(value: number, functions: OutputFunctions, loss: NamedFunction) {
    this.value = value;
    this.#functions = functions;
    this.#takesLabels = loss === 'sparseCategoricalCrossentropy';
  }

  /** The mean loss, on the tape; the caller's. */
  loss(output: tf.Tensor): tf.Scalar | undefined {
    return this.#attempt(() => tf.keep(tf.mean(this.#functions.loss(this.#targetFor(output), output))));
  }

  /** Reads the loss and evaluates the metrics, as is done for every micro-batch. */
  report(loss: tf.Scalar, output: tf.Tensor): void {
    loss.dataSync();
    for (const { evaluate, decomposable } of this.#functions.metrics) {
      if (decomposable)
        this.#attempt(() => tf.mean(evaluate(this.#targetFor(output), output) as tf.Scalar).dataSync());
    }
  }

  #attempt<T>(run: () => T): T | undefined {
    if (!this.#isKnown) return undefined;
    try {
      return tf.tidy(run as () => tf.TensorContainer) as T;
    } catch {
      this.#isKnown = false;
      return undefined;
    }
  }

  #targetFor({ shape }: tf.Tensor): tf.Tensor {
    this.#target ??= tf.keep(tf.zeros(this.#takesLabels ? [...shape.slice(0, -1), 1] : shape));
    return this.#target;
  }

  dispose(): void {
    this.#target?.dispose();
  }
}
