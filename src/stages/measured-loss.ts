/** Loss and metrics of one model output on made-up targets, for whoever times the layers that make it. */

import { type NamedFunction, takesLabels } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';
import type { LossOrMetric } from '../tfjs/internals.js';
import type { OutputFunctions } from './functions.js';

/** A function of the user's own may ask for targets of another shape: such a one is left out. */
export class MeasuredLoss {
  readonly value: number;
  readonly #functions: OutputFunctions;
  readonly #takesLabels: boolean;
  readonly #refused = new Set<LossOrMetric>();
  #target: tf.Tensor | undefined;

  /** @param value the model's output */
  constructor(value: number, functions: OutputFunctions, loss: NamedFunction) {
    this.value = value;
    this.#functions = functions;
    this.#takesLabels = takesLabels(loss);
  }

  /** The mean loss, for a caller that records a tape, whose scope takes what else is made; `undefined` where it is left out. */
  loss(output: tf.Tensor): tf.Scalar | undefined {
    const { loss } = this.#functions;
    return this.#attempt(loss, () => tf.keep(tf.mean(loss(this.#targetFor(output), output))));
  }

  /** Reads the loss and evaluates the metrics, as is done for every micro-batch. */
  report(loss: tf.Scalar | undefined, output: tf.Tensor): void {
    loss?.dataSync();
    for (const { evaluate, decomposable } of this.#functions.metrics) {
      if (!decomposable) continue;
      this.#attempt(evaluate, () =>
        tf.tidy(() => tf.mean(evaluate(this.#targetFor(output), output)).dataSync()),
      );
    }
  }

  #attempt<T>(function_: LossOrMetric, run: () => T): T | undefined {
    if (this.#refused.has(function_)) return undefined;
    try {
      return run();
    } catch {
      this.#refused.add(function_);
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
