/**
 * MaxPoolGrad and MaxPool3DGrad: every output's gradient goes to the input that was the maximum of its window. In place
 * of the backend's own kernels, which lose gradients (see `max-windows.ts`).
 */
import { tf } from '../../../tf.js';
import {
  addressOf,
  allocate,
  floats,
  requireFloat32,
  routines,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';
import { eachWindow, stepsOf, type Windows, windowsOf } from './max-windows.js';
import type { Replacement } from './replace.js';

type Rounding = 'floor' | 'round' | 'ceil' | undefined;

export const maxPoolGradReplacement: Replacement = () => (backend, inputs, attrs) => {
  const input = inputs['input'] as TensorInfo;
  const info = tf.backend_util.computePool2DInfo(
    input.shape as [number, number, number, number],
    attrs['filterSize'] as number | [number, number],
    attrs['strides'] as number | [number, number],
    1,
    attrs['pad'] as 'same' | 'valid' | number,
    attrs['dimRoundingMode'] as Rounding,
  );
  return scatterToMaxima(backend, input, inputs['dy'] as TensorInfo, windowsOf(info));
};

export const maxPool3dGradReplacement: Replacement = () => (backend, inputs, attrs) => {
  const input = inputs['input'] as TensorInfo;
  const info = tf.backend_util.computePool3DInfo(
    input.shape as [number, number, number, number, number],
    attrs['filterSize'] as number | [number, number, number],
    attrs['strides'] as number | [number, number, number],
    1,
    attrs['pad'] as 'same' | 'valid' | number,
    attrs['dimRoundingMode'] as Rounding,
  );
  return scatterToMaxima(backend, input, inputs['dy'] as TensorInfo, windowsOf(info));
};

function scatterToMaxima(backend: WasmBackend, x: TensorInfo, dy: TensorInfo, windows: Windows): TensorInfo {
  requireFloat32('The gradient of max pooling', { x, dy });
  const dx = allocate(backend, x.shape);
  floats(backend, dx).fill(0);
  const [xAddress, dyAddress, dxAddress] = [x, dy, dx].map(tensor => addressOf(backend, tensor)) as [
    number,
    number,
    number,
  ];
  const { maxWindowGradient } = routines(backend);
  const { rowStep, depthStep } = stepsOf(windows);
  eachWindow(windows, ({ output, firstInput, depths, rows, columns }) => {
    const offset = firstInput * Float32Array.BYTES_PER_ELEMENT;
    maxWindowGradient(
      xAddress + offset,
      dyAddress + output * Float32Array.BYTES_PER_ELEMENT,
      dxAddress + offset,
      depths,
      rows,
      columns,
      depthStep,
      rowStep,
      windows.channels,
    );
  });
  return dx;
}
