import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import '#internal/backends/index.js';
import { registerTileGradient } from '#internal/backends/gradients/tile.js';
import { describeOnBackends } from '../../helpers/backends.js';
import { expectClose, tensorCount } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';

const axes = fc.array(
  fc.record({ size: fc.integer({ min: 1, max: 3 }), copies: fc.integer({ min: 1, max: 3 }) }),
  {
    minLength: 1,
    maxLength: 5,
  },
);

/** Element by element: every element of the output belongs to one of the input. */
function reference(dy: Float32Array, shape: readonly number[], tiled: readonly number[]): Float32Array {
  const sums = new Float32Array(shape.reduce((size, axis) => size * axis, 1));
  for (const [position, value] of dy.entries()) {
    let rest = position;
    let index = 0;
    let stride = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index += ((rest % tiled[axis]!) % shape[axis]!) * stride;
      stride *= shape[axis]!;
      rest = Math.floor(rest / tiled[axis]!);
    }
    sums[index]! += value;
  }
  return sums;
}

describeOnBackends('the gradient of tiling', () => {
  it('is the sum over copies, for any rank', () => {
    fc.assert(
      fc.property(axes, fc.integer({ min: 1, max: 1000 }), (list, seed) => {
        const shape = list.map(({ size }) => size);
        const tiled = list.map(({ size, copies }) => size * copies);
        const before = tensorCount();
        tf.tidy(() => {
          const [x, upstream] = [uniform(shape, seed), uniform(tiled, seed + 1)];
          const copies = list.map(axis => axis.copies);
          const gradient = tf.grad((input: tf.Tensor) => tf.tile(input, copies))(x, upstream);
          expect(gradient.shape).toEqual(shape);
          expectClose(
            gradient.dataSync(),
            reference(upstream.dataSync() as Float32Array, shape, tiled),
            'gradient',
          );
        });
        expect(tensorCount()).toBe(before);
      }),
      { numRuns: 40 },
    );
  });

  it('is zero where there are no copies', () => {
    tf.tidy(() => {
      const gradient = tf.grad((input: tf.Tensor) => tf.tile(input, [0, 2]))(
        uniform([2, 3], 1),
        tf.zeros([0, 6]),
      );
      expect([gradient.shape, [...gradient.dataSync()]]).toEqual([
        [2, 3],
        [0, 0, 0, 0, 0, 0],
      ]);
    });
  });

  it('is replaced once', () => {
    const gradient = tf.getGradient('Tile');
    registerTileGradient();
    expect(tf.getGradient('Tile')).toBe(gradient);
  });
});
