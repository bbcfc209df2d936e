import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { describe, expect, it, vi } from 'vitest';
import { wasmBackend } from '#internal/backends/wasm/kernels/heap.js';
import {
  missingTrainingKernels,
  registerWasmTrainingKernels,
  TRAINING_KERNELS,
} from '#internal/backends/wasm/kernels/index.js';

const LACKING = [
  'Conv2DBackpropFilter',
  'DepthwiseConv2dNativeBackpropFilter',
  'DepthwiseConv2dNativeBackpropInput',
  'Einsum',
  'UnsortedSegmentSum',
];

// One file, one process: the tests run in order on the registry as tfjs leaves it.
describe('registerWasmTrainingKernels', () => {
  it('finds what the backend lacks and nothing missing on cpu', () => {
    expect(missingTrainingKernels('wasm').sort()).toEqual(LACKING);
    expect(missingTrainingKernels('cpu')).toEqual([]);
    expect(new Set(TRAINING_KERNELS).size).toBe(TRAINING_KERNELS.length);
  });

  it('keeps a kernel that someone else has registered, adds the rest, replaces without a warning', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const mine = { kernelName: 'Einsum', backendName: 'wasm', kernelFunc: vi.fn() };
    tf.registerKernel(mine);
    const names = registerWasmTrainingKernels();
    expect(names).toEqual(
      expect.arrayContaining([...LACKING.filter(name => name !== 'Einsum'), 'BatchMatMul']),
    );
    expect(names).not.toContain('Einsum');
    expect(tf.getKernel('Einsum', 'wasm')).toBe(mine);
    expect(missingTrainingKernels('wasm')).toEqual([]);
    expect(warn).not.toHaveBeenCalled();
    tf.unregisterKernel('Einsum', 'wasm');
    expect(registerWasmTrainingKernels()).toEqual(['Einsum']);
  });

  it('does nothing the second time', () => {
    const before = tf.getKernel('BatchMatMul', 'wasm');
    expect(registerWasmTrainingKernels()).toEqual([]);
    expect(tf.getKernel('BatchMatMul', 'wasm')).toBe(before);
  });

  it('works when the backend starts afterwards', async () => {
    await tf.setBackend('wasm');
    const sum = tf.tidy(() => tf.matMul(tf.ones([40, 30]), tf.ones([40, 30]), true, false).sum());
    expect(sum.dataSync()[0]).toBe(30 * 30 * 40);
    sum.dispose();
  });
});

describe('wasmBackend', () => {
  it('names every member of the backend that it misses', () => {
    expect(() => wasmBackend({ makeOutput: () => {}, wasm: {} })).toThrow(
      /no typedArrayFromHeap.*no wasm\.HEAPU8/,
    );
  });
});
