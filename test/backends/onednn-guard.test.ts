/** Filter gradients of strided 1×1 convolutions, which without the guard destroy memory: the process would not survive this. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type GuardedBinding, guardBinding } from '#internal/backends/tensorflow/onednn-guard.js';
import type { Attribute } from '#internal/backends/tensorflow/raw-ops.js';
import { backends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { uniform } from '../helpers/data.js';

const CASES = [
  [[2, 1], 'same'],
  [[1, 3], 'valid'],
  [[2, 2], 'same'],
  [[3, 2], 'valid'],
] as const;

/** By definition: input and output gradient multiplied where they meet. */
function expectedGradient(x: tf.Tensor4D, dy: tf.Tensor4D, strides: readonly [number, number]): tf.Tensor {
  const [, height, width, channels] = x.shape;
  const met = tf.stridedSlice(x, [0, 0, 0, 0], [x.shape[0], height, width, channels], [1, ...strides, 1]);
  const rows = (tensor: tf.Tensor): tf.Tensor2D => tf.reshape(tensor, [-1, tensor.shape[3]!]);
  return tf.reshape(tf.matMul(rows(met), rows(dy), true), [1, 1, channels, dy.shape[3]]);
}

describe.skipIf(!backends().includes('tensorflow'))('the filter gradient of a 1×1 convolution', () => {
  beforeAll(() => useBackend('tensorflow'));

  it.each(CASES)('with strides %s and padding %s is right, however often it runs', (strides, padding) => {
    for (let round = 0; round < 150; round++) {
      tf.tidy(() => {
        const x = uniform([3, 7, 8, 1 + (round % 4)], round + 1) as tf.Tensor4D;
        const filter = uniform([1, 1, x.shape[3], 1 + (round % 5)], round + 2) as tf.Tensor4D;
        const dy = uniform(
          [3, Math.ceil(7 / strides[0]), Math.ceil(8 / strides[1]), filter.shape[3]],
          round + 3,
        );
        const gradient = tf.grad(w =>
          tf.sum(tf.mul(tf.conv2d(x, w as tf.Tensor4D, [...strides], padding), dy)),
        )(filter);
        expectTensorsClose([gradient], [expectedGradient(x, dy as tf.Tensor4D, strides)], 'gradient');
      });
    }
  });

  it('is right for depthwise convolutions too', () => {
    for (let round = 0; round < 150; round++) {
      tf.tidy(() => {
        const x = uniform([3, 7, 8, 2], round + 1) as tf.Tensor4D;
        const filter = uniform([1, 1, 2, 1], round + 2) as tf.Tensor4D;
        const dy = uniform([3, 4, 4, 2], round + 3) as tf.Tensor4D;
        const gradient = tf.grad(w => tf.sum(tf.mul(tf.depthwiseConv2d(x, w as tf.Tensor4D, 2, 'same'), dy)))(
          filter,
        );
        const met = tf.stridedSlice(x, [0, 0, 0, 0], [3, 7, 8, 2], [1, 2, 2, 1]);
        const expected = tf.reshape(tf.sum(tf.mul(met, dy), [0, 1, 2]), [1, 1, 2, 1]);
        expectTensorsClose([gradient], [expected], 'gradient');
      });
    }
  });
});

describe('the guard', () => {
  it('stands once around a binding, and leaves all other calls to it', () => {
    const calls: string[] = [];
    const real = {
      executeOp: (op: string) => {
        calls.push(op);
        return [];
      },
    } as unknown as GuardedBinding;
    const guarded = guardBinding(real);
    expect(guardBinding(guarded)).toBe(guarded);
    const strides = (value: number[]): Attribute[] => [{ name: 'strides', type: 0, value }];
    guarded.executeOp('Conv2D', strides([1, 2, 2, 1]), [], 1);
    guarded.executeOp('Conv2DBackpropFilter', strides([1, 1, 1, 1]), [], 1);
    expect(calls).toEqual(['Conv2D', 'Conv2DBackpropFilter']);
  });
});
