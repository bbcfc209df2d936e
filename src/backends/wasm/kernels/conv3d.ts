/** Conv3D by two-dimensional convolutions (see `conv3d-slices.ts`). */
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
  type TensorInfo,
} from './heap.js';
import type { Replacement } from './replace.js';

export const conv3dReplacement: Replacement = () => (backend, inputs, attrs) => {
  const x = inputs['x'] as TensorInfo;
  const filter = inputs['filter'] as TensorInfo;
  requireFloat32('Conv3D', { x, filter });
  const info = tf.backend_util.computeConv3DInfo(
    x.shape as [number, number, number, number, number],
    filter.shape as [number, number, number, number, number],
    attrs['strides'] as number | [number, number, number],
    attrs['dilations'] as number | [number, number, number],
    attrs['pad'] as 'same' | 'valid' | number,
  );
  const y = allocate(backend, info.outShape);
  floats(backend, y).fill(0);
  for (const { tap, inputDepths, outputDepths } of tapsOf(info)) {
    const images = gatherSlices(backend, x, inputDepths);
    const taps = aliasOf(backend, filter, tap * tapSize(info), info.filterShape.slice(1));
    const part = runKernel(backend, 'Conv2D', { x: images, filter: taps }, sliceAttributes(info));
    addToSlices(backend, part, y, outputDepths);
    endAlias(backend, taps);
    release(backend, images, part);
  }
  return y;
};
