/** What the two gradient kernels of the depthwise convolution read from their attributes. */
import { tf } from '../../../tf.js';

export type DepthwiseInfo = tf.backend_util.Conv2DInfo & {
  /** Output channels of each input channel. */
  readonly multiplier: number;
};

export function depthwiseInfo(
  inputShape: readonly number[],
  filterShape: readonly number[],
  attrs: Record<string, unknown>,
): DepthwiseInfo {
  const info = tf.backend_util.computeConv2DInfo(
    inputShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    attrs['strides'] as number | [number, number],
    (attrs['dilations'] ?? 1) as number | [number, number],
    attrs['pad'] as Parameters<typeof tf.backend_util.computeConv2DInfo>[4],
    attrs['dimRoundingMode'] as 'floor' | 'round' | 'ceil' | undefined,
    true,
  );
  return { ...info, multiplier: info.outChannels / info.inChannels };
}
