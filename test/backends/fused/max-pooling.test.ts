/** Maximum pooling by oneDNN's op against TensorFlow's own, which tfjs calls. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { PoolingSettings } from '#internal/backends/fused-operations.js';
import { fusedOperations } from '#internal/backends/tensorflow/fused/index.js';
import { backends, useBackend } from '../../helpers/backends.js';
import { expectTensorsClose } from '../../helpers/compare.js';
import { integers, uniform } from '../../helpers/data.js';
import { HAS_ONEDNN, opsOf } from './ops-of.js';

/** Output and gradient. */
function both(x: tf.Tensor4D, pool: (x: tf.Tensor4D) => tf.Tensor): tf.Tensor[] {
  const dy = uniform(pool(x).shape, 7);
  return [pool(x), tf.grad(input => pool(input as tf.Tensor4D))(x, dy)];
}

const fused =
  (settings: PoolingSettings) =>
  (x: tf.Tensor4D): tf.Tensor =>
    fusedOperations.maxPool(x, settings);

const plain =
  ({ size, strides, padding }: PoolingSettings) =>
  (x: tf.Tensor4D): tf.Tensor =>
    tf.maxPool(x, [...size], [...strides], padding);

const HALVES: PoolingSettings = { size: [2, 2], strides: [2, 2], padding: 'valid' };

describe.skipIf(!backends().includes('tensorflow'))('maximum pooling', () => {
  beforeAll(() => useBackend('tensorflow'));

  it.runIf(HAS_ONEDNN)('runs the ops that note where the maxima are', () => {
    const run = (): tf.Tensor[] =>
      tf.tidy(() => both(uniform([2, 6, 6, 3], 1) as tf.Tensor4D, fused(HALVES)));
    // The first time, it also asks whether they do what TensorFlow's others do.
    run();
    const [ops] = opsOf(run);
    expect(ops).toEqual(expect.arrayContaining(['_MklNativeMaxPool', '_MklNativeMaxPoolGrad']));
    expect(ops).not.toContain('MaxPoolGrad');
  });

  it.each([
    [
      'windows of more than 255 elements',
      [2, 40, 36, 5],
      { size: [17, 18], strides: [3, 2], padding: 'same' },
    ],
    ['a long window', [2, 700, 1, 8], { size: [300, 1], strides: [100, 1], padding: 'valid' }],
    ['a window larger than the image', [2, 3, 3, 4], { size: [4, 4], strides: [4, 4], padding: 'same' }],
    ['no sample', [0, 4, 4, 4], HALVES],
  ] as const)('gives the bits of TensorFlow for %s', (_, shape, settings) => {
    tf.tidy(() => {
      const x = integers(shape, 3, -50, 50) as tf.Tensor4D;
      const [actual, reference] = [both(x, fused(settings)), both(x, plain(settings))];
      expect(actual.map(tensor => tensor.shape)).toEqual(reference.map(tensor => tensor.shape));
      expectTensorsClose(actual, reference, 'result', 1e-6);
    });
  });

  it('skips NaN as TensorFlow does, and knows infinity', () => {
    tf.tidy(() => {
      for (const channels of [1, 8, 11]) {
        const window = (...values: number[]): number[] => values;
        const windows = [
          window(1, Number.NaN, 3, 2),
          window(Number.NaN, Number.NaN, Number.NaN, Number.NaN),
          window(Number.NEGATIVE_INFINITY, 1, 2, Number.POSITIVE_INFINITY),
          window(4, 3, 2, Number.NaN),
        ];
        const x = tf.tile(tf.tensor4d(windows.flat(), [4, 2, 2, 1]), [1, 1, 1, channels]);
        expect(fused(HALVES)(x).dataSync()).toEqual(plain(HALVES)(x).dataSync());
      }
    });
  });
});
