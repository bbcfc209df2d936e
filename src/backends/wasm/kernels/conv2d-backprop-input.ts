/**
 * Conv2DBackpropInput: the gradient of a convolution's input, and the forward pass of `conv2dTranspose`, by XNNPACK
 * convolutions (see `transposed-convolution.ts`) in place of the backend's scalar loop: 64 gradients of 24×24×32, 3×3
 * filter to 16 channels, take 10 ms instead of 89.
 */
import { tf } from '../../../tf.js';
import {
  addressOf,
  allocate,
  release,
  requireFloat32,
  routines,
  runKernel,
  runKernelFunction,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';
import type { Replacement } from './replace.js';
import { type Axis, convolvePhases } from './transposed-convolution.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

interface Attributes {
  readonly strides: number | [number, number];
  readonly pad: Parameters<typeof tf.backend_util.computeConv2DInfo>[4];
  readonly dataFormat: 'NHWC' | 'NCHW';
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
  readonly inputShape: [number, number, number, number];
}

export const conv2dBackpropInputReplacement: Replacement = original => (backend, inputs, attrs) => {
  const dy = inputs['dy'] as TensorInfo;
  const filter = inputs['filter'] as TensorInfo;
  const { strides, pad, dataFormat, dimRoundingMode, inputShape } = attrs as unknown as Attributes;
  // No layer convolves channels-first data, so the backend's loop may keep that case.
  if (dataFormat === 'NCHW') return runKernelFunction(backend, original, inputs, attrs);
  requireFloat32('Conv2DBackpropInput', { dy, filter });

  const info = tf.backend_util.computeConv2DInfo(
    inputShape,
    filter.shape as [number, number, number, number],
    strides,
    1,
    pad,
    dimRoundingMode,
  );
  const rowAxis: Axis = {
    inputSize: info.inHeight,
    outputSize: info.outHeight,
    filterSize: info.filterHeight,
    stride: info.strideHeight,
    before: info.padInfo.top,
  };
  const columnAxis: Axis = {
    inputSize: info.inWidth,
    outputSize: info.outWidth,
    filterSize: info.filterWidth,
    stride: info.strideWidth,
    before: info.padInfo.left,
  };
  return convolvePhases(backend, info.inShape, rowAxis, columnAxis, (rows, columns) => {
    const turned = selectTaps(backend, filter, rows.taps, columns.taps);
    const part = runKernel(
      backend,
      'Conv2D',
      { x: dy, filter: turned },
      {
        strides: [1, 1],
        dilations: [1, 1],
        dataFormat: 'NHWC',
        pad: [
          [0, 0],
          [rows.padBefore, rows.padAfter],
          [columns.padBefore, columns.padAfter],
          [0, 0],
        ],
      },
    );
    release(backend, turned);
    return part;
  });
};

/** The chosen taps in the given order, with input and output channels exchanged. */
function selectTaps(
  backend: WasmBackend,
  filter: TensorInfo,
  rowTaps: readonly number[],
  columnTaps: readonly number[],
): TensorInfo {
  const [, filterWidth, inChannels, outChannels] = filter.shape as [number, number, number, number];
  const turned = allocate(backend, [rowTaps.length, columnTaps.length, outChannels, inChannels]);
  const matrixSize = inChannels * outChannels;
  const source = addressOf(backend, filter);
  let target = addressOf(backend, turned);
  const { transpose } = routines(backend);
  for (const row of rowTaps) {
    for (const column of columnTaps) {
      transpose(
        source + (row * filterWidth + column) * matrixSize * FLOAT_BYTES,
        target,
        inChannels,
        outChannels,
        outChannels * FLOAT_BYTES,
        inChannels * FLOAT_BYTES,
      );
      target += matrixSize * FLOAT_BYTES;
    }
  }
  return turned;
}
