/** The mean loss of a model output over the samples of a micro-batch. */

import type { Backend } from '../backends/index.js';
import { tf } from '../tf.js';
import type { OutputFunctions } from './functions.js';
import { TracedFunction } from './tracing/index.js';

export class MeanLoss {
  readonly #loss: OutputFunctions['loss'];
  readonly #traced: TracedFunction | undefined;

  constructor({ loss, isOwnLoss }: OutputFunctions, backend: Backend) {
    this.#loss = loss;
    if (!isOwnLoss || backend.fused?.recordParts === undefined) return;
    this.#traced = new TracedFunction(backend, {
      weights: [],
      learns: { inputs: [true], weights: [] },
      call: ([prediction], [target, weight]) => this.#call(prediction!, target!, weight),
    });
  }

  /** @param weight a number for each sample */
  of(prediction: tf.Tensor, target: tf.Tensor, weight: tf.Tensor | undefined): tf.Tensor {
    const constants = weight === undefined ? [target] : [target, weight];
    return this.#traced?.run([prediction], constants, false) ?? this.#call(prediction, target, weight);
  }

  #call(prediction: tf.Tensor, target: tf.Tensor, weight: tf.Tensor | undefined): tf.Tensor {
    const loss = this.#loss(target, prediction);
    return tf.mean(weight === undefined ? loss : tf.mul(loss, alongSamples(weight, loss.rank)));
  }
}

/** One weight a sample, shaped so that it spreads over the further axes of a loss, such as time steps. */
function alongSamples(weights: tf.Tensor, rank: number): tf.Tensor {
  return rank <= 1 ? weights : tf.reshape(weights, [weights.size, ...Array<number>(rank - 1).fill(1)]);
}
