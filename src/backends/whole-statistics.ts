/**
 * Statistics of a batch whose parts lie with several replicas, from those of the parts: known as SyncBN (Peng et al. 2018,
 * arXiv 1711.07240).
 *
 * Variances are joined as Chan, Golub and LeVeque do (1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample
 * Variances"), which takes one exchange and loses no digits, as a difference of sums of squares would.
 */
import * as tf from '@tensorflow/tfjs';
import type { Exchange } from './fused-operations.js';

/** Of each channel the mean and the biased variance. */
export interface Statistics {
  readonly mean: tf.Tensor;
  readonly variance: tf.Tensor;
}

/**
 * @param count numbers of each channel that the part's statistics are over
 * @returns the same of the whole batch
 */
export function joinStatistics(
  { mean, variance }: Statistics,
  count: number,
  exchange: Exchange,
): Statistics & { readonly count: number } {
  const channels = mean.size;
  const parts = exchange(Float32Array.from([count, ...mean.dataSync(), ...variance.dataSync()]));
  const total = sumOf(parts, 0);
  const means = eachChannel(channels, channel =>
    parts.reduce((sum, part) => sum + part[0]! * part[1 + channel]!, 0),
  ).map(sum => sum / total);
  const variances = eachChannel(channels, channel =>
    parts.reduce((sum, part) => {
      const distance = part[1 + channel]! - means[channel]!;
      return sum + part[0]! * (part[1 + channels + channel]! + distance * distance);
    }, 0),
  ).map(sum => sum / total);
  return { mean: tf.tensor1d(means), variance: tf.tensor1d(variances), count: total };
}

/** What is to be added to a part's own gradient of the images: `scale` times the normalised images, and `offset`. */
export interface Correction {
  readonly scale: tf.Tensor;
  readonly offset: tf.Tensor;
}

/**
 * The gradient of x is γ∕σ·(dy − mean(dy) − x̂·mean(dy·x̂)). A part's own has its means in place of those of the whole
 * batch; the sums are the gradients of beta and gamma.
 */
export function correctionOf(
  [gammaGradient, betaGradient]: readonly [tf.Tensor, tf.Tensor],
  { variance }: Statistics,
  { gamma, epsilon, count }: { readonly gamma: tf.Tensor; readonly epsilon: number; readonly count: number },
  exchange: Exchange,
): Correction {
  const channels = gamma.size;
  const own = Float32Array.from([count, ...betaGradient.dataSync(), ...gammaGradient.dataSync()]);
  const parts = exchange(own);
  const total = sumOf(parts, 0);
  const [scales, variances] = [gamma.dataSync(), variance.dataSync()];
  const difference = (place: number, channel: number): number =>
    (scales[channel]! / Math.sqrt(variances[channel]! + epsilon)) *
    (own[place]! / count - sumOf(parts, place) / total);
  return {
    scale: tf.tensor1d(eachChannel(channels, channel => difference(1 + channels + channel, channel))),
    offset: tf.tensor1d(eachChannel(channels, channel => difference(1 + channel, channel))),
  };
}

function sumOf(parts: readonly Float32Array[], place: number): number {
  return parts.reduce((sum, part) => sum + part[place]!, 0);
}

function eachChannel(channels: number, value: (channel: number) => number): number[] {
  return Array.from({ length: channels }, (_, channel) => value(channel));
}
