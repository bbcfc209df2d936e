/**
 * Batch normalization of one mini-batch that replicas share out: every replica normalises its samples with the statistics of
 * all, so that the numbers are those of the whole mini-batch. In tfjs's own operations, for what no kernel of the backend does.
 *
 * Forward and backward exchange 2C + 1 and 2C numbers for C channels.
 */

import { asTensor, joinStatistics } from '../../backends/index.js';
import { tf } from '../../tf.js';
import type { ReplicaGroup } from '../replica-group.js';

export interface Normalization {
  readonly axis: number;
  readonly epsilon: number;
  readonly gamma: tf.Tensor | undefined;
  readonly beta: tf.Tensor | undefined;
}

/**
 * @param onStatistics gets the mean and the biased variance of the whole mini-batch, one number a channel, while it runs
 * @returns this replica's samples, normalised; its tape node makes all gradients at once
 */
export function synchronisedBatchNorm(
  x: tf.Tensor,
  { axis, epsilon, gamma, beta }: Normalization,
  group: ReplicaGroup,
  onStatistics: (mean: tf.Tensor, variance: tf.Tensor) => void,
): tf.Tensor {
  const kept = axis < 0 ? axis + x.rank : axis;
  const channels = x.shape[kept]!;
  const others = x.shape.flatMap((_, other) => (other === kept ? [] : [other]));
  const spread = x.shape.map((size, other) => (other === kept ? size : 1));
  const alongChannels = (values: tf.Tensor): tf.Tensor => tf.reshape(values, spread);
  const normalise = tf.customGrad((...args) => {
    const [input, scale, offset, save] = args as unknown as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      (tensors: tf.Tensor[]) => void,
    ];
    const moments = tf.moments(input, others);
    const own = {
      mean: moments.mean.dataSync<'float32'>(),
      variance: moments.variance.dataSync<'float32'>(),
      count: input.size / channels,
    };
    const whole = joinStatistics(own, numbers => group.gatherActive(numbers));
    const [mean, variance] = [asTensor(whole.mean), asTensor(whole.variance)];
    const centred = tf.sub(input, alongChannels(mean));
    onStatistics(mean, variance);
    const deviation = tf.rsqrt(tf.add(variance, epsilon));
    const normalised = tf.mul(centred, alongChannels(deviation));
    save([normalised, scale, deviation]);
    const value = tf.add(tf.mul(normalised, alongChannels(scale)), alongChannels(offset));
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] => {
      const [xHat, factor, rate] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const offsetGradient = tf.sum(dy, others);
      const scaleGradient = tf.sum(tf.mul(dy, xHat), others);
      const sums = summed(tf.concat([offsetGradient, scaleGradient]), group).div(whole.count);
      const meanGradient = alongChannels(tf.slice(sums, 0, channels));
      const meanProduct = alongChannels(tf.slice(sums, channels, channels));
      const inputGradient = tf.mul(
        tf.sub(tf.sub(dy, meanGradient), tf.mul(xHat, meanProduct)),
        alongChannels(tf.mul(factor, rate)),
      );
      // Of scale and offset each replica gives its own part: the replicas' gradients are summed before the step.
      return [inputGradient, scaleGradient, offsetGradient];
    };
    return { value, gradFunc } as ReturnType<Parameters<typeof tf.customGrad>[0]>;
  });
  return normalise(x, gamma ?? tf.ones([channels]), beta ?? tf.zeros([channels]));
}

function summed(values: tf.Tensor, group: ReplicaGroup): tf.Tensor {
  const data = Float32Array.from(values.dataSync());
  group.sumOverActive(data);
  return tf.tensor(data, values.shape);
}
