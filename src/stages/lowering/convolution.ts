/** Convolutions over one or two spatial axes: full, depthwise, and separable as the one after the other. */
import type * as tf from '@tensorflow/tfjs';
import type { ConvolutionSettings } from '../../backends/index.js';
import {
  type ActivationFunction,
  type Lowering,
  presentValue,
  splitActivation,
  type Weight,
} from './layer-call.js';

interface ConvolutionLayer {
  readonly strides: readonly number[];
  readonly padding: string;
  readonly dataFormat: string;
  readonly dilationRate: number | readonly number[];
  readonly activation: ActivationFunction | null;
  readonly kernel: Weight;
  readonly depthwiseKernel: Weight;
  readonly pointwiseKernel: Weight;
  readonly bias: Weight | null;
}

/** Strides and padding; `undefined` for what the kernels do not know. tfjs refuses gradients of dilated convolutions. */
function settingsOf(layer: ConvolutionLayer): Omit<ConvolutionSettings, 'activation'> | undefined {
  const { padding, dataFormat, dilationRate, strides } = layer;
  if (dataFormat !== 'channelsLast' || (padding !== 'same' && padding !== 'valid')) return undefined;
  if ([dilationRate].flat().some(rate => rate !== 1)) return undefined;
  const [first, second] = strides;
  return { padding, strides: second === undefined ? [1, first!] : [first!, second] };
}

export const convolution: Lowering = (layer, operations) => {
  const parts = layer as unknown as ConvolutionLayer;
  const settings = settingsOf(parts);
  if (settings === undefined) return undefined;
  const { inlineWith, after } = splitActivation(parts.activation, operations);
  return (input, { following }) => {
    const inlined = { ...settings, activation: inlineWith(following) };
    return after(operations.convolution(input, parts.kernel.read(), presentValue(parts.bias), inlined));
  };
};

/** TensorFlow's depthwise kernels want the same stride both ways; tfjs's refusal of others is the user's to see. */
function hasOneStride({ strides: [height, width] }: Omit<ConvolutionSettings, 'activation'>): boolean {
  return height === width;
}

export const depthwiseConvolution: Lowering = (layer, operations) => {
  const parts = layer as unknown as ConvolutionLayer;
  const settings = settingsOf(parts);
  if (settings === undefined || !hasOneStride(settings)) return undefined;
  const { inlineWith, after } = splitActivation(parts.activation, operations);
  return (input, { following }) => {
    const inlined = { ...settings, activation: inlineWith(following) };
    const filter = parts.depthwiseKernel.read() as tf.Tensor4D;
    return after(
      operations.depthwiseConvolution(input as tf.Tensor4D, filter, presentValue(parts.bias), inlined),
    );
  };
};

export const separableConvolution: Lowering = (layer, operations) => {
  const parts = layer as unknown as ConvolutionLayer;
  const settings = settingsOf(parts);
  if (settings === undefined || !hasOneStride(settings)) return undefined;
  const { inlineWith, after } = splitActivation(parts.activation, operations);
  const depthwise = { ...settings, activation: 'linear' } as const;
  return (input, { following }) => {
    const pointwise = { strides: [1, 1], padding: 'valid', activation: inlineWith(following) } as const;
    const filter = parts.depthwiseKernel.read() as tf.Tensor4D;
    const filtered = operations.depthwiseConvolution(input as tf.Tensor4D, filter, undefined, depthwise);
    const mixed = parts.pointwiseKernel.read();
    return after(operations.convolution(filtered, mixed, presentValue(parts.bias), pointwise));
  };
};
