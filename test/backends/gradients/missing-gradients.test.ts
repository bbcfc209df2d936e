import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import '#internal/backends/index.js';
import { describeOnBackends } from '../../helpers/backends.js';
import { expectClose, expectTensorsClose, tensorCount } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';

const shape = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  image: fc.tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
  ),
  taps: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 2 }),
  inner: fc.integer({ min: 1, max: 2 }),
  outer: fc.integer({ min: 1, max: 3 }),
  pad: fc.constantFrom('same' as const, 'valid' as const),
  seed: fc.integer({ min: 1, max: 1000 }),
});

describeOnBackends('the gradients that tfjs lacks', backend => {
  // It is linear in each operand, so the gradient's product with any direction is the sum of the output in that direction.
  it('are right for a transposed 3-D convolution, in every direction', () => {
    fc.assert(
      fc.property(shape, ({ batch, image, taps, stride, inner, outer, pad, seed }) => {
        // A filter smaller than its stride leaves gaps, which tfjs-node refuses.
        const size = Math.max(taps, stride);
        const outputSizes = image.map(length =>
          pad === 'same' ? length * stride : (length - 1) * stride + size,
        );
        const outputShape = [batch, ...outputSizes, outer] as [number, number, number, number, number];
        const before = tensorCount();
        tf.tidy(() => {
          const draw = (dims: number[], offset: number) => uniform(dims, seed + offset) as tf.Tensor5D;
          const xShape = [batch, ...image, inner];
          const filterShape = [size, size, size, outer, inner];
          const upstream = draw(outputShape, 1);
          const sum = (x: tf.Tensor, filter: tf.Tensor): tf.Scalar =>
            tf.sum(
              tf.mul(
                tf.conv3dTranspose(x as tf.Tensor5D, filter as tf.Tensor5D, outputShape, stride, pad),
                upstream,
              ),
            );
          const x = draw(xShape, 2);
          const filter = draw(filterShape, 3);
          const [ofX, ofFilter] = tf.grads(sum)([x, filter]) as [tf.Tensor, tf.Tensor];
          const towardsX = draw(xShape, 4);
          const towardsFilter = draw(filterShape, 5);
          const actual = tf.stack([tf.sum(tf.mul(ofX, towardsX)), tf.sum(tf.mul(ofFilter, towardsFilter))]);
          const expected = tf.stack([sum(towardsX, filter), sum(x, towardsFilter)]);
          expectClose(actual.dataSync(), expected.dataSync(), 'products', 1e-4);
        });
        expect(tensorCount()).toBe(before);
      }),
      { numRuns: backend === 'cpu' ? 30 : 15 },
    );
  });

  it('are zero for comparisons', () => {
    tf.tidy(() => {
      const x = tf.tensor2d([
        [0, 0],
        [-1, 2],
      ]);
      const kept = (input: tf.Tensor): tf.Tensor =>
        tf.mul(input, tf.cast(tf.any(tf.notEqual(input, 0), -1, true), 'float32'));
      const above = (input: tf.Tensor): tf.Tensor =>
        tf.mul(input, tf.cast(tf.greater(input, 0.5), 'float32'));
      const expected = [
        [
          [0, 0],
          [1, 1],
        ],
        [
          [0, 0],
          [0, 1],
        ],
      ].map(rows => tf.tensor2d(rows));
      const actual = [kept, above].map(f => tf.grad(input => tf.sum(f(input)))(x));
      expectTensorsClose(actual, expected, 'gradient');
    });
  });
});
