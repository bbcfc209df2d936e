/**
 * Batch normalization whose running statistics change once a mini-batch, by the statistics of all its samples, while each
 * micro-batch is normalised by its own. The idea is torchgpipe's DeferredBatchNorm (Kim et al. 2020, arXiv 2004.09910).
 *
 * tfjs moves the running statistics inside `call`, so `call` is replaced on the instances that a worker has built: it puts
 * the running statistics back and keeps the micro-batch's sums instead.
 */
import { tf } from '../../tf.js';
import { batchNormParts, type Layer, variableOf, withoutTape } from '../../tfjs/internals.js';
import type { ReplicaGroup } from '../replica-group.js';
import type { BatchNormControl, ForwardPass } from './control.js';
import { batchNormsIn } from './layers-in.js';
import { moveAverages } from './move-averages.js';

/** Sums over the samples that one call of a layer has seen in this mini-batch. */
interface Sums {
  rows: number;
  mean: tf.Tensor;
  /** Mean of squares. */
  square: tf.Tensor;
}

export class DeferredBatchNorm implements BatchNormControl {
  readonly #layers: DeferredLayer[] = [];

  take(layer: Layer): void {
    this.#layers.push(...batchNormsIn(layer).map(found => new DeferredLayer(found)));
  }

  begin({ counts }: ForwardPass): void {
    for (const layer of this.#layers) layer.begin(counts);
  }

  /** Moves the running statistics by what the mini-batch has shown, to all replicas. */
  commit(group: ReplicaGroup | undefined): void {
    for (const layer of this.#layers) layer.commit(group);
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

  commit(group: ReplicaGroup | undefined): void {
    if (group !== undefined) this.#sumOver(group);
    for (const { rows, mean, square } of this.#sums) {
      tf.tidy(() => {
        const average = tf.div(mean, rows);
        const variance = tf.relu(tf.sub(tf.div(square, rows), tf.square(average)));
        moveAverages(batchNormParts(this.#layer)!, average, variance);
      });
    }
    this.reset();
  }

  /** Adds up the sums of all replicas. One without samples does not know how often the layer was called. */
  #sumOver(group: ReplicaGroup): void {
    const channels = variableOf(batchNormParts(this.#layer)!.movingMean).size;
    const [calls] = group.gather(Float32Array.of(this.#sums.length))[0]!;
    for (let call = 0; call < calls!; call++) {
      const own = this.#sums[call];
      const numbers = new Float32Array(1 + 2 * channels);
      if (own !== undefined) {
        numbers.set([own.rows, ...own.mean.dataSync(), ...own.square.dataSync()]);
        tf.dispose([own.mean, own.square]);
      }
      const [rows, ...sums] = group
        .gather(numbers)
        .reduce((total, part) => total.map((sum, index) => sum + part[index]!));
      this.#sums[call] = {
        rows: rows!,
        mean: tf.keep(tf.tensor(sums.slice(0, channels))),
        square: tf.keep(tf.tensor(sums.slice(channels))),
      };
    }
  }

  reset(): void {
    for (const { mean, square } of this.#sums) tf.dispose([mean, square]);
    this.#sums.length = 0;
  }
}
