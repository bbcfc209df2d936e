/**
 * DepthwiseConv2dNativeBackpropFilter: the gradient of a depthwise filter. For every tap, image and channel it is a
 * sum over the pixels of `x`, shifted by the tap, times `dy`: one call of the SIMD routine per tap and image.
 */

import { type DepthwiseInfo, depthwiseInfo } from './depthwise-geometry.js';
import {
  addressOf,
  allocate,
  floats,
  release,
  requireFloat32,
  routines,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';
import type { Kernel } from './replace.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

export const depthwiseBackpropFilter: Kernel = (backend, inputs, attrs) => {
  const x = inputs['x'] as TensorInfo;
  const dy = inputs['dy'] as TensorInfo;
  requireFloat32('DepthwiseConv2dNativeBackpropFilter', { x, dy });
  const info = depthwiseInfo(x.shape, attrs['filterShape'] as number[], attrs);

  // The filter's last two axes, channel and multiple, are in the order of the output channels.
  const dw = allocate(backend, info.filterShape);
  const source = info.multiplier === 1 ? x : repeatChannels(backend, x, info.multiplier);
  floats(backend, dw).fill(0);
  sumTaps(backend, source, dy, dw, info);
  if (source !== x) release(backend, source);
  return dw;
};

function sumTaps(
  backend: WasmBackend,
  x: TensorInfo,
  dy: TensorInfo,
  dw: TensorInfo,
  info: DepthwiseInfo,
): void {
  const { depthwiseFilter } = routines(backend);
  const { outChannels, inHeight, inWidth, outHeight, outWidth, strideHeight, strideWidth } = info;
  const pixelBytes = outChannels * FLOAT_BYTES;
  const [xAddress, dyAddress, dwAddress] = [x, dy, dw].map(tensor => addressOf(backend, tensor)) as [
    number,
    number,
    number,
  ];
  for (let image = 0; image < info.batchSize; image++) {
    for (let tapRow = 0; tapRow < info.filterHeight; tapRow++) {
      const rows = validRange(
        tapRow * info.dilationHeight - info.padInfo.top,
        strideHeight,
        inHeight,
        outHeight,
      );
      for (let tapColumn = 0; tapColumn < info.filterWidth; tapColumn++) {
        const columns = validRange(
          tapColumn * info.dilationWidth - info.padInfo.left,
          strideWidth,
          inWidth,
          outWidth,
        );
        if (rows.count <= 0 || columns.count <= 0) continue;
        depthwiseFilter(
          xAddress + ((image * inHeight + rows.input) * inWidth + columns.input) * pixelBytes,
          dyAddress + ((image * outHeight + rows.output) * outWidth + columns.output) * pixelBytes,
          dwAddress + (tapRow * info.filterWidth + tapColumn) * pixelBytes,
          rows.count,
          columns.count,
          outChannels,
          strideHeight * inWidth * pixelBytes,
          strideWidth * pixelBytes,
          outWidth * pixelBytes,
          pixelBytes,
        );
      }
    }
  }
}

/** The outputs along one axis for which input `output · stride + shift` exists: the first, its input, how many. */
function validRange(
  shift: number,
  stride: number,
  inputSize: number,
  outputSize: number,
): { output: number; input: number; count: number } {
  const output = Math.max(0, Math.ceil(-shift / stride));
  const end = Math.min(outputSize, Math.floor((inputSize - 1 - shift) / stride) + 1);
  return { output, input: output * stride + shift, count: end - output };
}

/** Every channel `times` times in a row, so that input and output channels correspond one to one. */
function repeatChannels(backend: WasmBackend, x: TensorInfo, times: number): TensorInfo {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const repeated = allocate(backend, [batch, height, width, channels * times]);
  const source = floats(backend, x);
  const target = floats(backend, repeated);
  for (let index = 0, to = 0; index < source.length; index++) {
    for (let copy = 0; copy < times; copy++) target[to++] = source[index] as number;
  }
  return repeated;
}
