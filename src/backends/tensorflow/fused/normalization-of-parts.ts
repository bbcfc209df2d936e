/**
 * Normalises a part of a batch with the statistics of all parts. The part's own statistics and gradients are computed as if it were
 * all; after an exchange with the other parts, one more pass forward and one back bring in what the others have.
 */
import { tf } from '../../../tf.js';
import type { Exchange } from '../../fused-operations.js';
import { asTensor, joinStatistics, joinSums, type Statistics } from '../../whole-statistics.js';
import { addAffine, affineOfNormalized, normalizeWith } from './channel-affine.js';
import { countOf, type Normalization, type Normalized, normalize, suitsOps } from './normalization.js';
import { statisticsBySums } from './normalization-by-sums.js';

export function normalizePart(
  images: tf.Tensor,
  normalization: Normalization,
  exchange: Exchange,
): Normalized {
  const whole = joinStatistics(statisticsOf(images, normalization), exchange);
  return {
    y: normalizeWith(images, normalization, whole),
    mean: asTensor(whole.mean),
    variance: asTensor(whole.variance),
  };
}

function statisticsOf(images: tf.Tensor, normalization: Normalization): Statistics {
  if (!suitsOps(images)) return statisticsBySums(images);
  const { y, mean, variance } = normalize(images, { ...normalization, activation: 'linear' });
  const [means, variances] = [mean.dataSync<'float32'>(), variance.dataSync<'float32'>()];
  tf.dispose([y, mean, variance]);
  return { mean: means, variance: variances, count: countOf(images) };
}

/**
 * The gradient of x is γ∕σ·(dy − mean(dy) − x̂·mean(dy·x̂)). A part's own has its means in place of those of the whole batch; the sums
 * are the gradients of offset and scale.
 *
 * @param ownGradients of images, scale and offset as `normalizationGradients` gives them; that of the images is disposed
 */
export function gradientsOfPart(
  ownGradients: readonly tf.Tensor[],
  images: tf.Tensor,
  { scale, epsilon }: Pick<Normalization, 'scale' | 'epsilon'>,
  statistics: Pick<Normalized, 'mean' | 'variance'>,
  exchange: Exchange,
): tf.Tensor[] {
  const [imageGradient, scaleGradient, offsetGradient] = ownGradients as [tf.Tensor, tf.Tensor, tf.Tensor];
  const own = {
    first: offsetGradient.dataSync<'float32'>(),
    second: scaleGradient.dataSync<'float32'>(),
    count: countOf(images),
  };
  const whole = joinSums(own, exchange);
  /** How far the mean over the part is from that over all. */
  const distance = (of: 'first' | 'second', channel: number): number =>
    own[of][channel]! / own.count - whole[of][channel]! / whole.count;
  const scales = scale.dataSync();
  const known = {
    mean: statistics.mean.dataSync<'float32'>(),
    variance: statistics.variance.dataSync<'float32'>(),
  };
  const correction = affineOfNormalized(known, epsilon, (channel, rate) => ({
    factor: scales[channel]! * rate * distance('second', channel),
    value: scales[channel]! * rate * distance('first', channel),
  }));
  const corrected = addAffine(imageGradient, images, correction);
  imageGradient.dispose();
  return [corrected, scaleGradient, offsetGradient];
}
