/** MaxPool3D, in place of the backend's own kernel, which takes no negative maximum (see `max-windows.ts`). */
import { tf } from '../../../tf.js';
import { addressOf, allocate, routines, runKernelFunction, type TensorInfo } from './heap.js';
import { eachWindow, stepsOf, windowsOf } from './max-windows.js';
import type { Replacement } from './replace.js';

export const maxPool3dReplacement: Replacement = original => (backend, inputs, attrs) => {
  const x = inputs['x'] as TensorInfo;
  if (x.dtype !== 'float32' || attrs['dataFormat'] === 'NCDHW') {
    return runKernelFunction(backend, original, inputs, attrs);
  }
  const info = tf.backend_util.computePool3DInfo(
    x.shape as [number, number, number, number, number],
    attrs['filterSize'] as number | [number, number, number],
    attrs['strides'] as number | [number, number, number],
    1,
    attrs['pad'] as 'same' | 'valid' | number,
    attrs['dimRoundingMode'] as 'floor' | 'round' | 'ceil' | undefined,
  );
  const y = allocate(backend, info.outShape);
  const [xAddress, yAddress] = [addressOf(backend, x), addressOf(backend, y)];
  const { maxWindow } = routines(backend);
  const windows = windowsOf(info);
  const { rowStep, depthStep } = stepsOf(windows);
  eachWindow(windows, ({ output, firstInput, depths, rows, columns }) =>
    maxWindow(
      xAddress + firstInput * Float32Array.BYTES_PER_ELEMENT,
      yAddress + output * Float32Array.BYTES_PER_ELEMENT,
      depths,
      rows,
      columns,
      depthStep,
      rowStep,
      windows.channels,
    ),
  );
  return y;
};
