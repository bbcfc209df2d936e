/** Conv3DBackpropInputV2, also the forward pass of `conv3dTranspose`, slice by slice (see `conv3d-slices.ts`). */
import { tf } from '../../../tf.js';
import { addToSlices, gatherSlices, sliceAttributes, tapSize, tapsOf } from './conv3d-slices.js';
import {
  aliasOf,
  allocate,
  endAlias,
  floats,
  release,
  requireFloat32,
  runKernel,
  sizeAt,
  type TensorInfo,
} from './heap.js';
import type { Replacement } from './replace.js';

export const conv3dBackpropInputReplacement: Replacement = () => (backend, inputs, attrs) => {
  const dy = inputs['dy'] as TensorInfo;
  const filter = inputs['filter'] as TensorInfo;
  requireFloat32('Conv3DBackpropInputV2', { dy, filter });
  const info = tf.backend_util.computeConv3DInfo(
    attrs['inputShape'] as [number, number, number, number, number],
    filter.shape as [number, number, number, number, number],
    attrs['strides'] as number | [number, number, number],
    1,
    attrs['pad'] as 'same' | 'valid' | number,
  );
  const dx = allocate(backend, info.inShape);
  floats(backend, dx).fill(0);
  for (const { tap, inputDepths, outputDepths } of tapsOf(info)) {
    const gradients = gatherSlices(backend, dy, outputDepths);
    const taps = aliasOf(backend, filter, tap * tapSize(info), info.filterShape.slice(1));
    const inputShape = [sizeAt(gradients, 0), info.inHeight, info.inWidth, info.inChannels];
    const part = runKernel(
      backend,
      'Conv2DBackpropInput',
      { dy: gradients, filter: taps },
      { ...sliceAttributes(info), inputShape },
    );
    addToSlices(backend, part, dx, inputDepths);
    endAlias(backend, taps);
    release(backend, gradients, part);
  }
  return dx;
};
