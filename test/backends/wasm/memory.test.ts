import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { allocations, heapBytes, use, values } from './both-backends.js';

/** Enough for a leak of one small tensor a step to grow the heap, and every loop's temporary memory to settle first. */
const STEPS = 1_000;
const WARM_UP_STEPS = 20;

/** Runs `step` a thousand times and compares what is allocated with what was after the warm-up. */
function expectSteady(step: () => void): void {
  for (let count = 0; count < WARM_UP_STEPS; count++) step();
  const before = { ...allocations(), heapBytes: heapBytes() };
  for (let count = 0; count < STEPS; count++) step();
  expect({ ...allocations(), heapBytes: heapBytes() }).toEqual(before);
}

describe('a thousand training steps on wasm', () => {
  beforeAll(() => use('wasm'));

  it('of convolution, depthwise convolution and pooling leave no tensor and no heap behind', () => {
    const filter = tf.variable(values([3, 3, 2, 4], 1) as tf.Tensor4D);
    const depthwise = tf.variable(values([3, 3, 4, 2], 2) as tf.Tensor4D);
    const x = values([4, 9, 9, 2], 3) as tf.Tensor4D;
    const optimizer = tf.train.sgd(1e-3);
    expectSteady(() =>
      optimizer.minimize(() => {
        const convolved = tf.conv2d(x, filter as tf.Tensor4D, 2, 'same');
        const pooled = tf.maxPool(
          tf.depthwiseConv2d(convolved, depthwise as tf.Tensor4D, 1, 'same'),
          2,
          2,
          'same',
        );
        return pooled.square().mean() as tf.Scalar;
      }),
    );
    tf.dispose([filter, depthwise, x]);
    optimizer.dispose();
  });

  it('of embedding and dense layers, single and batched, leave no tensor and no heap behind', () => {
    const table = tf.variable(values([11, 32], 1));
    const dense = tf.variable(values([32, 24], 2));
    const ids = tf.tensor2d([0, 3, 3, 10, 7, 1], [2, 3], 'int32');
    const optimizer = tf.train.sgd(1e-3);
    expectSteady(() =>
      optimizer.minimize(() => {
        const rows = tf.gather(table, ids);
        const scores = tf.matMul(tf.tile(rows, [1, 8, 1]), tf.tile(rows, [1, 8, 1]), false, true);
        const hidden = tf.matMul(scores, tf.tile(rows, [1, 8, 1])).reshape([48, 32]);
        return tf.matMul(hidden, dense).square().mean() as tf.Scalar;
      }),
    );
    tf.dispose([table, dense, ids]);
    optimizer.dispose();
  });

  it('of three-dimensional convolution and pooling leave no tensor and no heap behind', () => {
    const filter = tf.variable(values([2, 2, 2, 2, 3], 1));
    const x = values([2, 5, 5, 5, 2], 3) as tf.Tensor5D;
    const optimizer = tf.train.sgd(1e-3);
    expectSteady(() =>
      optimizer.minimize(() => {
        const convolved = tf.conv3d(x, filter as unknown as tf.Tensor5D, 1, 'same');
        return tf
          .maxPool3d(convolved as tf.Tensor5D, 2, 2, 'same')
          .square()
          .mean() as tf.Scalar;
      }),
    );
    tf.dispose([filter, x]);
    optimizer.dispose();
  });
});
