/**
 * The windows of a max pooling, in two or three dimensions, for the SIMD routines that work on one window.
 *
 * The backend's own MaxPoolGrad, MaxPool3D and MaxPool3DGrad begin their search at the smallest *positive* float
 * instead of minus infinity, so that windows without a positive number have no maximum: a wrong result, or a gradient
 * that is lost. They are slow besides: the gradient of a 2×2 pooling of 64 images of 24×24×32 takes 18 ms, here 0.7.
 */
import type * as tf from '@tensorflow/tfjs';

interface Axis {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly filterSize: number;
  readonly stride: number;
  readonly before: number;
}

export interface Windows {
  readonly batch: number;
  readonly channels: number;
  readonly depth: Axis;
  readonly height: Axis;
  readonly width: Axis;
}

type Info = tf.backend_util.Conv2DInfo | ReturnType<typeof tf.backend_util.computePool3DInfo>;

/** Windows from what tfjs computes of a pooling's attributes; two dimensions are three with a depth of one. */
export function windowsOf(info: Info): Windows {
  const depth: Axis =
    'inDepth' in info
      ? {
          inputSize: info.inDepth,
          outputSize: info.outDepth,
          filterSize: info.filterDepth,
          stride: info.strideDepth,
          before: info.padInfo.front,
        }
      : { inputSize: 1, outputSize: 1, filterSize: 1, stride: 1, before: 0 };
  return {
    batch: info.batchSize,
    channels: info.inChannels,
    depth,
    height: {
      inputSize: info.inHeight,
      outputSize: info.outHeight,
      filterSize: info.filterHeight,
      stride: info.strideHeight,
      before: info.padInfo.top,
    },
    width: {
      inputSize: info.inWidth,
      outputSize: info.outWidth,
      filterSize: info.filterWidth,
      stride: info.strideWidth,
      before: info.padInfo.left,
    },
  };
}

/** What the SIMD routines need of one window; element indices, byte steps. A window in the padding has no pixels. */
export interface WindowPlace {
  readonly output: number;
  readonly firstInput: number;
  readonly depths: number;
  readonly rows: number;
  readonly columns: number;
}

/** Calls `visit` for the window of every output pixel, in the order of the output. */
export function eachWindow(windows: Windows, visit: (place: WindowPlace) => void): void {
  const { batch, channels, depth, height, width } = windows;
  let output = 0;
  for (let image = 0; image < batch; image++) {
    for (let outZ = 0; outZ < depth.outputSize; outZ++) {
      const z = inputRange(depth, outZ);
      for (let outY = 0; outY < height.outputSize; outY++) {
        const y = inputRange(height, outY);
        const line = ((image * depth.inputSize + z.first) * height.inputSize + y.first) * width.inputSize;
        for (let outX = 0; outX < width.outputSize; outX++) {
          const x = inputRange(width, outX);
          visit({
            output,
            firstInput: (line + x.first) * channels,
            depths: z.count,
            rows: y.count,
            columns: x.count,
          });
          output += channels;
        }
      }
    }
  }
}

/** Bytes from a row of the input to the next, and from a slice to the next. */
export function stepsOf({ channels, height, width }: Windows): { rowStep: number; depthStep: number } {
  const rowStep = width.inputSize * channels * Float32Array.BYTES_PER_ELEMENT;
  return { rowStep, depthStep: height.inputSize * rowStep };
}

/** The inputs under a window along one axis. */
function inputRange(
  { inputSize, filterSize, stride, before }: Axis,
  output: number,
): { readonly first: number; readonly count: number } {
  const from = output * stride - before;
  const first = Math.max(0, from);
  return { first, count: Math.max(0, Math.min(inputSize, from + filterSize) - first) };
}
