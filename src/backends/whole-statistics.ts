/**
 * Statistics of a batch whose parts lie with several replicas, from those of the parts: known as SyncBN (Peng et al. 2018,
 * arXiv 1711.07240).
 *
 * Variances are joined as Chan, Golub and LeVeque do (1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample
 * Variances"), which takes one exchange and loses no digits, as a difference of sums of squares would.
 */
import { tf } from '../tf.js';
import type { Exchange } from './fused-operations.js';

/** A number for each channel. */
export type PerChannel = Float32Array | Float64Array;

export function asTensor(values: PerChannel): tf.Tensor {
  return tf.tensor1d(Float32Array.from(values));
}

/** Of each channel the mean and the biased variance. */
export interface Statistics {
  readonly mean: PerChannel;
  readonly variance: PerChannel;
  /** Numbers of each channel that they are over. */
  readonly count: number;
}

/** @returns the statistics of the whole batch, from those of this part and the others */
export function joinStatistics({ mean, variance, count }: Statistics, exchange: Exchange): Statistics {
  const parts = exchangeBoth(count, mean, variance, exchange);
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  const means = new Float64Array(mean.length);
  const variances = new Float64Array(mean.length);
  for (const part of parts) {
    const share = part.count / total;
    for (const [channel, value] of part.first.entries()) means[channel]! += share * value;
  }
  for (const part of parts) {
    const share = part.count / total;
    for (const [channel, value] of part.second.entries()) {
      const distance = part.first[channel]! - means[channel]!;
      variances[channel]! += share * (value + distance * distance);
    }
  }
  return { mean: means, variance: variances, count: total };
}

/** Two numbers for each channel, sums or statistics. */
interface Pair {
  readonly first: PerChannel;
  readonly second: PerChannel;
  /** Numbers of each channel that they are over. */
  readonly count: number;
}

/** @returns the sums over the whole batch, from those over this part and the others */
export function joinSums({ first, second, count }: Pair, exchange: Exchange): Pair {
  const sums = [new Float64Array(first.length), new Float64Array(first.length)] as const;
  let total = 0;
  for (const part of exchangeBoth(count, first, second, exchange)) {
    total += part.count;
    for (const [channel, value] of part.first.entries()) sums[0][channel]! += value;
    for (const [channel, value] of part.second.entries()) sums[1][channel]! += value;
  }
  return { first: sums[0], second: sums[1], count: total };
}

function exchangeBoth(count: number, first: PerChannel, second: PerChannel, exchange: Exchange): Pair[] {
  const channels = first.length;
  const own = new Float32Array(1 + 2 * channels);
  own[0] = count;
  own.set(first, 1);
  own.set(second, 1 + channels);
  return exchange(own).map(part => ({
    count: part[0]!,
    first: part.subarray(1, 1 + channels),
    second: part.subarray(1 + channels),
  }));
}
