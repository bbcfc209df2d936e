/** Pooling. */
import { tf } from '../../tf.js';
import type { Lowering } from './layer-call.js';

/** tfjs has the sizes along one axis as lists of one number. */
interface PoolingLayer {
  readonly poolSize: readonly number[];
  readonly strides: readonly number[];
  readonly padding: string;
  readonly dataFormat?: string;
}

/** Windows of 1 in width, as tfjs computes it. */
export const max1d: Lowering = (layer, operations) => {
  const { poolSize, strides, padding } = layer as unknown as PoolingLayer;
  const [size, stride] = [poolSize[0]!, strides[0]!];
  if (!isPadding(padding)) return undefined;
  const settings = { size: [size, 1], strides: [stride, 1], padding } as const;
  return input => tf.squeeze(operations.maxPool(tf.expandDims(input, 2) as tf.Tensor4D, settings), [2]);
};

export const max2d: Lowering = (layer, operations) => {
  const { poolSize, strides, padding, dataFormat } = layer as unknown as PoolingLayer;
  if (!isPadding(padding) || dataFormat !== 'channelsLast') return undefined;
  const settings = {
    size: [poolSize[0]!, poolSize[1]!],
    strides: [strides[0]!, strides[1]!],
    padding,
  } as const;
  return input => operations.maxPool(input as tf.Tensor4D, settings);
};

function isPadding(padding: string): padding is 'same' | 'valid' {
  return padding === 'same' || padding === 'valid';
}

export const globalAverage1d: Lowering = (_, operations) => input => operations.globalAverage(input);

export const globalAverage2d: Lowering = (layer, operations) => {
  const { dataFormat } = layer as unknown as { readonly dataFormat: string };
  return dataFormat === 'channelsLast' ? input => operations.globalAverage(input) : undefined;
};

export const globalMax1d: Lowering = (_, operations) => input => operations.globalMax(input as tf.Tensor3D);
