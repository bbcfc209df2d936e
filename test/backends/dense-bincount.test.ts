/** Counting on TensorFlow against tfjs's cpu backend. */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import '#internal/backends/index.js';
import { backends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../helpers/compare.js';
import { integers, uniform } from '../helpers/data.js';

/** Numbers beyond the bins included; no weights count as ones. */
function counts(): tf.Tensor[] {
  return tf.tidy(() =>
    [[7], [4, 7]].flatMap(shape => {
      const x = tf.cast(integers(shape, 5, 0, 8), 'int32') as tf.Tensor1D;
      const weights = uniform(shape, 6, 0, 1) as tf.Tensor1D;
      const none = tf.tensor1d([]);
      const plain = [tf.denseBincount(x, none, 6), tf.denseBincount(x, weights, 6)];
      // The cpu backend ignores `binaryOutput` for a single row.
      return shape.length === 1 ? plain : [...plain, tf.denseBincount(x, none, 6, true)];
    }),
  );
}

describe.skipIf(!backends().includes('tensorflow'))('denseBincount on TensorFlow', () => {
  it('counts as on cpu and leaves nothing behind', async () => {
    await useBackend('cpu');
    const expected = counts();
    await useBackend('tensorflow');
    const before = tensorCount();
    const actual = counts();
    expect(tensorCount()).toBe(before + actual.length);
    expectTensorsClose(actual, expected, 'counts');
    tf.dispose([actual, expected]);
  });
});
