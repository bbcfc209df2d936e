/** Conv3DBackpropFilterV2, one depth tap after the other (see `conv3d-slices.ts`). */
import { tf } from '../../../tf.js';
import { gatherSlices, sliceAttributes, tapSize, tapsOf } from './conv3d-slices.js';
import { allocate, floats, release, requireFloat32, runKernel, type TensorInfo } from './heap.js';
import type { Replacement } from './replace.js';

export const conv3dBackpropFilterReplacement: Replacement = () => (backend, inputs, attrs) => {
  const x = inputs['x'] as TensorInfo;
  const dy = inputs['dy'] as TensorInfo;
  requireFloat32('Conv3DBackpropFilterV2', { x, dy });
  const info = tf.backend_util.computeConv3DInfo(
    x.shape as [number, number, number, number, number],
    attrs['filterShape'] as [number, number, number, number, number],
    attrs['strides'] as number | [number, number, number],
    1,
    attrs['pad'] as 'same' | 'valid' | number,
  );
  const dw = allocate(backend, info.filterShape);
  // Taps that only ever meet padding have no gradient.
  floats(backend, dw).fill(0);
  for (const { tap, inputDepths, outputDepths } of tapsOf(info)) {
    const images = gatherSlices(backend, x, inputDepths);
    const gradients = gatherSlices(backend, dy, outputDepths);
    const part = runKernel(
      backend,
      'Conv2DBackpropFilter',
      { x: images, dy: gradients },
      { ...sliceAttributes(info), filterShape: info.filterShape.slice(1) },
    );
    floats(backend, dw).set(floats(backend, part), tap * tapSize(info));
    release(backend, images, gradients, part);
  }
  return dw;
};
