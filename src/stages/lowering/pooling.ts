/** Global pooling. */
import type * as tf from '@tensorflow/tfjs';
import type { Lowering } from './layer-call.js';

export const globalAverage1d: Lowering = (_, operations) => input => operations.globalAverage(input);

export const globalAverage2d: Lowering = (layer, operations) => {
  const { dataFormat } = layer as unknown as { readonly dataFormat: string };
  return dataFormat === 'channelsLast' ? input => operations.globalAverage(input) : undefined;
};

export const globalMax1d: Lowering = (_, operations) => input => operations.globalMax(input as tf.Tensor3D);
