/**
 * Conv2D, DepthwiseConv2dNative and their fused forms with `same` padding and a stride larger than the filter.
 *
 * The backend leaves `same` to XNNPACK, which refuses such a convolution; the refusal is not looked at and the output
 * keeps whatever was in its memory. With the padding spelled out in numbers XNNPACK accepts it.
 */
import { tf } from '../../../tf.js';
import { runKernelFunction, type TensorInfo } from './heap.js';
import type { Replacement } from './replace.js';

/** Wraps a forward convolution; depthwise filters have another meaning of their last axis. */
export function withExplicitPadding(isDepthwise: boolean): Replacement {
  return original => (backend, inputs, attrs) => {
    if (attrs['pad'] !== 'same') return runKernelFunction(backend, original, inputs, attrs);
    const { padInfo, strideHeight, strideWidth, filterHeight, filterWidth } =
      tf.backend_util.computeConv2DInfo(
        (inputs['x'] as TensorInfo).shape as [number, number, number, number],
        (inputs['filter'] as TensorInfo).shape as [number, number, number, number],
        attrs['strides'] as number | [number, number],
        (attrs['dilations'] ?? 1) as number | [number, number],
        'same',
        undefined,
        isDepthwise,
      );
    if (strideHeight <= filterHeight && strideWidth <= filterWidth) {
      return runKernelFunction(backend, original, inputs, attrs);
    }
    const pad = [
      [0, 0],
      [padInfo.top, padInfo.bottom],
      [padInfo.left, padInfo.right],
      [0, 0],
    ];
    return runKernelFunction(backend, original, inputs, { ...attrs, pad });
  };
}
