/**
 * Normalises images, [batch, height, width, channels], by sums over each channel and affine functions of each channel: what oneDNN's op
 * does number by number where channels are no multiple of eight. For [32, 22, 22, 30] 0.25 ms forward and 0.3 back against 1.3 and 1.7.
 *
 * A sum of squares says little of a variance where the mean is far from zero. Images with such a channel are moved to their means first,
 * which is a pass more.
 */
import { tf } from '../../../tf.js';
import type { BatchNormSettings, FusedActivation } from '../../fused-operations.js';
import { asTensor, type PerChannel, type Statistics } from '../../whole-statistics.js';
import { graphFunction } from '../graph/index.js';
import { rawOps } from '../raw-ops.js';
import { inlineGradient } from './activations.js';
import {
  addAffine,
  affineOfNormalized,
  affineThrough,
  applyAffine,
  normalizeWith,
  onePixel,
} from './channel-affine.js';
import { biasGradient } from './dense.js';
import { countOf, type Normalization, type Normalized } from './normalization.js';
import { reduce } from './reduce.js';
import { withShape } from './sliding.js';

export function normalizeBySums(images: tf.Tensor, normalization: Normalization): Normalized {
  const statistics = statisticsBySums(images);
  const [mean, variance] = [statistics.mean, statistics.variance].map(asTensor) as [tf.Tensor, tf.Tensor];
  return { y: normalizeWith(images, normalization, statistics), mean, variance };
}

/** Gradients as those of the op, see `normalizationGradients`; `y` is the activated output, where there is an activation. */
export function gradientsBySums(
  dy: tf.Tensor,
  images: tf.Tensor,
  { scale, epsilon, activation }: Pick<Normalization, 'scale' | 'epsilon' | 'activation'>,
  known: { readonly mean: tf.Tensor; readonly variance: tf.Tensor; readonly y: tf.Tensor | undefined },
): tf.Tensor[] {
  const variance = known.variance.dataSync<'float32'>();
  const rates = variance.map(value => 1 / Math.sqrt(value + epsilon));
  const { images: near, mean } = centredWhereFar(images, known.mean.dataSync<'float32'>(), variance);
  const { dz, sum, product } = outputSums(dy, near, known.y, activation);
  const scaleGradient = sum.map(
    (value, channel) => (product[channel]! - mean[channel]! * value) * rates[channel]!,
  );
  const scales = scale.dataSync();
  const factors = rates.map((rate, channel) => scales[channel]! * rate);
  const count = countOf(images);
  // γ∕σ·(dz − mean(dz) − x̂·mean(dz·x̂)), of which the last two terms are affine in x.
  const rest = affineOfNormalized({ mean, variance }, epsilon, channel => ({
    factor: (-factors[channel]! * scaleGradient[channel]!) / count,
    value: (-factors[channel]! * sum[channel]!) / count,
  }));
  const main = applyAffine(dz, { scale: factors, offset: new Float32Array(factors.length) }, 'linear');
  const imageGradient = addAffine(main, near, rest);
  tf.dispose([main, ...(dz === dy ? [] : [dz]), ...(near === images ? [] : [near])]);
  return [imageGradient, asTensor(scaleGradient), asTensor(sum)];
}

/** The images' own statistics. */
export function statisticsBySums(images: tf.Tensor): Statistics {
  const rough = roughStatistics(images);
  const { images: centred } = centredWhereFar(images, rough.mean, rough.variance);
  if (centred === images) return rough;
  const { mean, ...exact } = roughStatistics(centred);
  centred.dispose();
  return { ...exact, mean: mean.map((rest, channel) => Math.fround(rough.mean[channel]!) + rest) };
}

/** By sums of squares. */
function roughStatistics(images: tf.Tensor): Statistics {
  const count = countOf(images);
  const [sum, squares] = [channelSum(images), channelProduct(images, images)];
  const mean = Float64Array.from(sum.dataSync(), value => value / count);
  const variance = Float64Array.from(squares.dataSync(), (square, channel) =>
    Math.max(0, square / count - mean[channel]! ** 2),
  );
  tf.dispose([sum, squares]);
  return { mean, variance, count };
}

/** Up to here a variance by sums of squares is off by no more than five times what the op's is: 1e-5 for [64, 25, 5, 64]. */
const MOST_DEVIATIONS = 2;

/**
 * The images and their means; or, if a mean is far from zero, images of which the means in single precision were taken, which the caller
 * disposes, and zeros. One channel is enough, a constant one too.
 */
function centredWhereFar(
  images: tf.Tensor,
  mean: PerChannel,
  variance: PerChannel,
): { readonly images: tf.Tensor; readonly mean: PerChannel } {
  if (!mean.some((value, channel) => isFar(value, variance[channel]!))) return { images, mean };
  const toMeans = affineThrough(mean, () => ({ slope: 1, value: 0 }));
  return { images: applyAffine(images, toMeans, 'linear'), mean: new Float32Array(mean.length) };
}

/** Squares that overflow say nothing of the variance either. */
function isFar(mean: number, variance: number): boolean {
  return Number.isFinite(mean) && (!Number.isFinite(variance) || mean ** 2 > MOST_DEVIATIONS ** 2 * variance);
}

/** From as many channels on a sum of rows is faster as the gradient of a bias. */
const FEWEST_BIASES = 32;

function channelSum(images: tf.Tensor): tf.Tensor {
  return images.shape[3]! >= FEWEST_BIASES ? biasGradient(images) : reduce('Sum', images, [0, 1, 2]);
}

/** Σ a·b of each channel: the gradient of a filter of one pixel, which keeps no products. */
function channelProduct(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return withShape({ shape: [1, 1, a.shape[3]!, 1] }, shape =>
    rawOps().one('DepthwiseConv2dNativeBackpropFilter', onePixel(), a, shape, b),
  );
}

type ActivationSettings = Pick<BatchNormSettings, 'activation'>;

const withSums = ([dy, images, y]: readonly tf.Tensor[], { activation }: ActivationSettings): tf.Tensor[] => {
  const dz = inlineGradient(dy!, y!, activation);
  return [dz, channelSum(dz), channelProduct(images!, dz)];
};

const withSumsAsGraph = graphFunction<ActivationSettings>('batch-norm-gradient-sums', withSums);

/** The gradient before the activation, its sums, and those of its products with the images. */
function outputSums(
  dy: tf.Tensor,
  images: tf.Tensor,
  y: tf.Tensor | undefined,
  activation: FusedActivation,
): { readonly dz: tf.Tensor; readonly sum: Float32Array; readonly product: Float32Array } {
  const [dz, ...sums] =
    y === undefined
      ? withSums([dy, images], { activation })
      : withSumsAsGraph([dy, images, y], { activation });
  const [sum, product] = sums.map(tensor => tensor.dataSync<'float32'>()) as [Float32Array, Float32Array];
  tf.dispose(sums);
  return { dz: dz!, sum, product };
}
