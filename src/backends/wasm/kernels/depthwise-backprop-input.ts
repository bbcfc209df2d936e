/**
 * DepthwiseConv2dNativeBackpropInput: the gradient of a depthwise convolution's input, by XNNPACK's depthwise
 * convolution of `dy` (see `transposed-convolution.ts`). With a depth multiplier each output channel is first
 * treated as a channel of its own, then those of one input channel are added up.
 */

import { type DepthwiseInfo, depthwiseInfo } from './depthwise-geometry.js';
import {
  allocate,
  floats,
  release,
  requireFloat32,
  reshaped,
  runKernel,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';
import type { Kernel } from './replace.js';
import { type Axis, convolvePhases, type Phase } from './transposed-convolution.js';

export const depthwiseBackpropInput: Kernel = (backend, inputs, attrs) => {
  const dy = inputs['dy'] as TensorInfo;
  const filter = inputs['filter'] as TensorInfo;
  requireFloat32('DepthwiseConv2dNativeBackpropInput', { dy, filter });
  const info = depthwiseInfo(attrs['inputShape'] as number[], filter.shape, attrs);
  const rowAxis: Axis = {
    inputSize: info.inHeight,
    outputSize: info.outHeight,
    filterSize: info.effectiveFilterHeight,
    stride: info.strideHeight,
    before: info.padInfo.top,
  };
  const columnAxis: Axis = {
    inputSize: info.inWidth,
    outputSize: info.outWidth,
    filterSize: info.effectiveFilterWidth,
    stride: info.strideWidth,
    before: info.padInfo.left,
  };
  const shape = [info.batchSize, info.inHeight, info.inWidth, info.outChannels] as const;
  const perOutput = convolvePhases(backend, shape, rowAxis, columnAxis, (rows, columns) => {
    const taps = selectTaps(backend, filter, info, rows.taps, columns.taps);
    const part = convolve(backend, dy, taps, rows, columns);
    release(backend, taps);
    return part;
  });
  if (info.multiplier === 1) return perOutput;

  const grouped = reshaped(backend, perOutput, [...info.inShape, info.multiplier]);
  const dx = runKernel(backend, 'Sum', { x: grouped }, { axis: [4], keepDims: false });
  release(backend, perOutput, grouped);
  return dx;
};

function convolve(
  backend: WasmBackend,
  dy: TensorInfo,
  filter: TensorInfo,
  rows: Phase,
  columns: Phase,
): TensorInfo {
  return runKernel(
    backend,
    'DepthwiseConv2dNative',
    { x: dy, filter },
    {
      strides: [1, 1],
      dilations: [1, 1],
      pad: [
        [0, 0],
        [rows.padBefore, rows.padAfter],
        [columns.padBefore, columns.padAfter],
        [0, 0],
      ],
    },
  );
}

/** The chosen taps in the given order, zeros in the gaps of a dilated filter, as a filter with multiplier 1. */
function selectTaps(
  backend: WasmBackend,
  filter: TensorInfo,
  info: DepthwiseInfo,
  rowTaps: readonly number[],
  columnTaps: readonly number[],
): TensorInfo {
  const channels = info.outChannels;
  const selected = allocate(backend, [rowTaps.length, columnTaps.length, channels, 1]);
  const source = floats(backend, filter);
  const target = floats(backend, selected);
  let to = 0;
  for (const rowTap of rowTaps) {
    for (const columnTap of columnTaps) {
      const row = rowTap / info.dilationHeight;
      const column = columnTap / info.dilationWidth;
      if (Number.isInteger(row) && Number.isInteger(column)) {
        const from = (row * info.filterWidth + column) * channels;
        target.set(source.subarray(from, from + channels), to);
      } else {
        target.fill(0, to, to + channels);
      }
      to += channels;
    }
  }
  return selected;
}
