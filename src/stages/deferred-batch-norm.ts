/**
 * Batch normalization whose running statistics change once a mini-batch, by the statistics of all its samples, while each
 * micro-batch is normalised by its own. The idea is torchgpipe's DeferredBatchNorm (Kim et al. 2020, arXiv 2004.09910).
 *
 * tfjs moves the running statistics inside `call`, so `call` is replaced on the instances that a worker has built: it puts
 * the running statistics back and keeps the micro-batch's sums instead.
 */
import * as tf from '@tensorflow/tfjs';
import { batchNormParts, innerLayers, type Layer, variableOf, withoutTape } from '../tfjs/internals.js';

/** Sums over the samples that one call of a layer has seen in this mini-batch. */
interface Sums {
  rows: number;
  mean: tf.Tensor;
  /** Mean of squares. */
  square: tf.Tensor;
}

export class DeferredBatchNorm {
  readonly #layers: DeferredLayer[] = [];

  /** Takes charge of every batch normalization in `layer`, which may be one or hold some. */
  defer(layer: Layer): void {
    if (batchNormParts(layer) !== undefined) this.#layers.push(new DeferredLayer(layer));
    for (const inner of innerLayers(layer)) this.defer(inner);
  }

  /** Begins a forward pass. The repeated pass of a recomputation counts nothing. */
  begin(counts: boolean): void {
    for (const layer of this.#layers) layer.begin(counts);
  }

  /** Moves the running statistics by what the mini-batch has shown. */
  commit(): void {
    for (const layer of this.#layers) layer.commit();
  }

  /** Forgets a mini-batch that broke off. */
  reset(): void {
    for (const layer of this.#layers) layer.reset();
  }
}

class DeferredLayer {
  readonly #layer: Layer;
  /** By call within a forward pass: plain `fit` moves the statistics once a call. */
  readonly #sums: Sums[] = [];
  #call = 0;
  #counts = true;

  constructor(layer: Layer) {
    this.#layer = layer;
    const call = layer.call.bind(layer);
    layer.call = (inputs, kwargs) => {
      if (kwargs?.['training'] !== true) return call(inputs, kwargs);
      const input = (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor;
      withoutTape(() => this.#observe(input));
      return this.#withStatisticsKept(() => call(inputs, kwargs));
    };
  }

  begin(counts: boolean): void {
    this.#call = 0;
    this.#counts = counts;
  }

  #observe(input: tf.Tensor): void {
    if (!this.#counts) return;
    const { axis } = batchNormParts(this.#layer)!;
    const kept = axis < 0 ? axis + input.rank : axis;
    const reduced = input.shape.flatMap((_, other) => (other === kept ? [] : [other]));
    const rows = input.shape[0]!;
    const earlier = this.#sums[this.#call];
    const [mean, square] = tf.tidy(() => {
      const sums = [tf.mean(input, reduced), tf.mean(tf.square(input), reduced)].map(value =>
        tf.mul(value, rows),
      );
      return earlier === undefined
        ? sums
        : [tf.add(sums[0]!, earlier.mean), tf.add(sums[1]!, earlier.square)];
    }) as [tf.Tensor, tf.Tensor];
    if (earlier !== undefined) tf.dispose([earlier.mean, earlier.square]);
    this.#sums[this.#call] = {
      rows: rows + (earlier?.rows ?? 0),
      mean: tf.keep(mean),
      square: tf.keep(square),
    };
    this.#call += 1;
  }

  #withStatisticsKept<T>(call: () => T): T {
    const { movingMean, movingVariance } = batchNormParts(this.#layer)!;
    const before = [movingMean, movingVariance].map(weight => {
      const variable = variableOf(weight);
      return { variable, value: tf.keep(tf.clone(variable as tf.Tensor)) };
    });
    try {
      return call();
    } finally {
      for (const { variable, value } of before) {
        variable.assign(value);
        value.dispose();
      }
    }
  }

  commit(): void {
    const { movingMean, movingVariance, momentum } = batchNormParts(this.#layer)!;
    for (const { rows, mean, square } of this.#sums) {
      tf.tidy(() => {
        const average = tf.div(mean, rows);
        const variance = tf.relu(tf.sub(tf.div(square, rows), tf.square(average)));
        for (const [weight, value] of [
          [movingMean, average],
          [movingVariance, variance],
        ] as const) {
          const variable = variableOf(weight);
          variable.assign(tf.sub(variable, tf.mul(tf.sub(variable, value), 1 - momentum)));
        }
      });
    }
    this.reset();
  }

  reset(): void {
    for (const { mean, square } of this.#sums) tf.dispose([mean, square]);
    this.#sums.length = 0;
  }
}
