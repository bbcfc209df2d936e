/**
 * Conv2DBackpropFilter: the gradient of a convolution's filter, as matrix products by XNNPACK.
 *
 *     dw[tap, c, o] = Σ over output pixels p and images n of  x[pixel(p, tap), c, n] · dy[p, n, o]
 *
 * Rows (tap, c), columns o, inner dimension (p, n). Both operands are first stored with the images innermost, x as
 * [channels, height, width, images] and dy as [pixels, images, channels]. Then dy is the right operand as it stands, and
 * a row of the left one (im2col, already transposed) is put together from long contiguous runs: along an output row
 * at stride 1, one pixel at larger strides.
 *
 * The left operand is built for a few output pixels at a time, so that it takes little memory, and the products are
 * added up. That also keeps the error of the long float32 sums down.
 *
 * 64 images of 26×26×16, 3×3 filter to 32 channels: 13 ms, of which 8 in XNNPACK; the forward pass takes 8.
 */
import { tf } from '../../../tf.js';
import {
  aliasOf,
  allocate,
  endAlias,
  floatOffset,
  floats,
  heapFloats,
  release,
  requireFloat32,
  reshaped,
  runKernel,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';
import type { Kernel } from './replace.js';
import { copyRun } from './transposed-convolution.js';

type Conv2DInfo = tf.backend_util.Conv2DInfo;

/** Size of the im2col buffer. From 1 to 64 MiB the time is the same within its noise, so it may as well be small. */
const TILE_BYTES = 2 * 1024 * 1024;

export const conv2dBackpropFilter: Kernel = (backend, inputs, attrs) => {
  const x = inputs['x'] as TensorInfo;
  const dy = inputs['dy'] as TensorInfo;
  requireFloat32('Conv2DBackpropFilter', { x, dy });
  const dataFormat = tf.backend_util.convertConv2DDataFormat(attrs['dataFormat'] as 'NHWC' | 'NCHW');
  const info = tf.backend_util.computeConv2DInfo(
    x.shape as [number, number, number, number],
    attrs['filterShape'] as [number, number, number, number],
    attrs['strides'] as number | [number, number],
    1,
    attrs['pad'] as Parameters<typeof tf.backend_util.computeConv2DInfo>[4],
    attrs['dimRoundingMode'] as 'floor' | 'round' | 'ceil' | undefined,
    false,
    dataFormat,
  );
  const isChannelsLast = dataFormat === 'channelsLast';
  if (isChannelsLast && isPointwise(info)) return pointwise(backend, x, dy, info);

  const imagesLast = isChannelsLast ? [3, 1, 2, 0] : [1, 2, 3, 0];
  const pixelsFirst = isChannelsLast ? [1, 2, 0, 3] : [2, 3, 0, 1];
  const xTurned = runKernel(backend, 'Transpose', { x }, { perm: imagesLast });
  const dyTurned = runKernel(backend, 'Transpose', { x: dy }, { perm: pixelsFirst });
  const dw = tiledProduct(backend, xTurned, dyTurned, info);
  release(backend, xTurned, dyTurned);
  return dw;
};

/** Whether every output pixel reads just its own input pixel, as in the second half of a separable convolution. */
function isPointwise(info: Conv2DInfo): boolean {
  const { filterHeight, filterWidth, strideHeight, strideWidth, inHeight, inWidth, outHeight, outWidth } =
    info;
  return (
    filterHeight * filterWidth * strideHeight * strideWidth === 1 &&
    inHeight === outHeight &&
    inWidth === outWidth
  );
}

/** xᵀ · dy over all pixels of all images. */
function pointwise(backend: WasmBackend, x: TensorInfo, dy: TensorInfo, info: Conv2DInfo): TensorInfo {
  const pixels = info.batchSize * info.outHeight * info.outWidth;
  const a = reshaped(backend, x, [1, pixels, info.inChannels]);
  const b = reshaped(backend, dy, [1, pixels, info.outChannels]);
  const product = runKernel(backend, 'BatchMatMul', { a, b }, { transposeA: true, transposeB: false });
  const dw = reshaped(backend, product, info.filterShape);
  release(backend, a, b, product);
  return dw;
}

function tiledProduct(backend: WasmBackend, x: TensorInfo, dy: TensorInfo, info: Conv2DInfo): TensorInfo {
  const { batchSize, outChannels } = info;
  const pixelCount = info.outHeight * info.outWidth;
  const rows = info.filterHeight * info.filterWidth * info.inChannels;
  const bytesPerPixel = rows * batchSize * Float32Array.BYTES_PER_ELEMENT;
  const tilePixels = Math.min(pixelCount, Math.max(1, Math.floor(TILE_BYTES / bytesPerPixel)));

  const dw = allocate(backend, info.filterShape);
  floats(backend, dw).fill(0);
  const buffer = allocate(backend, [rows, tilePixels * batchSize]);
  for (let first = 0; first < pixelCount; first += tilePixels) {
    const count = Math.min(tilePixels, pixelCount - first);
    const inner = count * batchSize;
    gather(heapFloats(backend), floatOffset(backend, x), floatOffset(backend, buffer), info, first, count);
    const a = aliasOf(backend, buffer, 0, [1, rows, inner]);
    const b = aliasOf(backend, dy, first * batchSize * outChannels, [1, inner, outChannels]);
    const product = runKernel(backend, 'BatchMatMul', { a, b }, { transposeA: false, transposeB: false });
    accumulate(floats(backend, dw), floats(backend, product));
    release(backend, product);
    endAlias(backend, a);
    endAlias(backend, b);
  }
  release(backend, buffer);
  return dw;
}

/** Fills the left operand for `count` output pixels from `first` on. Offsets are in floats. */
function gather(
  heap: Float32Array,
  x: number,
  buffer: number,
  info: Conv2DInfo,
  first: number,
  count: number,
): void {
  const { batchSize, inChannels, inHeight, inWidth, outWidth, strideHeight, strideWidth, padInfo } = info;
  let to = buffer;
  for (let tapRow = 0; tapRow < info.filterHeight; tapRow++) {
    for (let tapColumn = 0; tapColumn < info.filterWidth; tapColumn++) {
      const shift = tapColumn - padInfo.left;
      // Output columns whose input column lies inside the image.
      const validFrom = Math.max(0, Math.ceil(-shift / strideWidth));
      const validTo = Math.min(outWidth, Math.floor((inWidth - 1 - shift) / strideWidth) + 1);
      for (let channel = 0; channel < inChannels; channel++) {
        // Row by row of the output, of which the first and the last may be cut short by the tile.
        for (let pixel = first; pixel < first + count; ) {
          const outRow = Math.floor(pixel / outWidth);
          const from = pixel - outRow * outWidth;
          const until = Math.min(outWidth, from + first + count - pixel);
          const inRow = outRow * strideHeight + tapRow - padInfo.top;
          const isInside = inRow >= 0 && inRow < inHeight;
          const copyFrom = isInside ? Math.min(Math.max(from, validFrom), until) : until;
          const copyTo = isInside ? Math.max(Math.min(until, validTo), copyFrom) : until;
          heap.fill(0, to, to + (copyFrom - from) * batchSize);
          heap.fill(0, to + (copyTo - from) * batchSize, to + (until - from) * batchSize);
          const rowStart = x + (channel * inHeight + inRow) * inWidth * batchSize;
          copyPixels(heap, rowStart, to - from * batchSize, copyFrom, copyTo, shift, strideWidth, batchSize);
          to += (until - from) * batchSize;
          pixel += until - from;
        }
      }
    }
  }
}

/** Copies the inputs of output columns [from, until) of one row, `size` floats each; `target` is that of column 0. */
function copyPixels(
  heap: Float32Array,
  rowStart: number,
  target: number,
  from: number,
  until: number,
  shift: number,
  stride: number,
  size: number,
): void {
  if (stride === 1) {
    copyRun(heap, rowStart + (from + shift) * size, target + from * size, (until - from) * size);
    return;
  }
  for (let column = from; column < until; column++) {
    copyRun(heap, rowStart + (column * stride + shift) * size, target + column * size, size);
  }
}

function accumulate(sum: Float32Array, term: Float32Array): void {
  for (let index = 0; index < sum.length; index++)
    sum[index] = (sum[index] as number) + (term[index] as number);
}
