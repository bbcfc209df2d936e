import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocations, expectSame, resultsOn, use, values } from './both-backends.js';

describe('UnsortedSegmentSum on wasm', () => {
  it('sums rows by segment as cpu does and drops ids that are no segment', async () => {
    const problem = fc.record({
      rowShape: fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 3 }),
      segments: fc.integer({ min: 1, max: 6 }),
      ids: fc.array(fc.integer({ min: -2, max: 8 }), { minLength: 1, maxLength: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(problem, async ({ rowShape, segments, ids }) => {
        await expectSame(() => [
          tf.unsortedSegmentSum(values([ids.length, ...rowShape]), tf.tensor1d(ids, 'int32'), segments),
        ]);
      }),
      { numRuns: 100 },
    );
  });

  // cpu says float32 here; webgl and tfjs-node keep the type, as TensorFlow does.
  it('keeps the type of integers', async () => {
    const [sum] = await resultsOn('wasm', () => [
      tf.unsortedSegmentSum(tf.tensor1d([1, 2, 3], 'int32'), tf.tensor1d([0, 1, 0], 'int32'), 2),
    ]);
    expect(sum).toEqual({ shape: [2], dtype: 'int32', values: [4, 2] });
  });
});

describe('GatherV2 on wasm', () => {
  const ids = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 9 });

  it('gathers along any axis as cpu does, for every element type and with batch dimensions', async () => {
    const problem = fc.record({
      axis: fc.integer({ min: -3, max: 2 }),
      ids,
      dtype: fc.constantFrom<'float32' | 'int32' | 'bool'>('float32', 'int32', 'bool'),
    });
    await fc.assert(
      fc.asyncProperty(problem, async ({ axis, ids, dtype }) => {
        await expectSame(() => {
          const x = values([4, 4, 4]).mul(100);
          const rows = tf.tensor1d(ids, 'int32');
          if (dtype === 'bool') return [tf.gather(x.greater(0), rows, axis)];
          const source = x.cast(dtype);
          const table = tf.tensor2d(
            [ids, ids.map(id => 3 - id), ids, ids.map(id => (id + 1) % 4)],
            undefined,
            'int32',
          );
          return [
            tf.gather(source, rows, axis),
            tf.gather(source, table, axis),
            tf.gather(source, table, 1, 1),
            tf.gather(source, table, 2, 1),
          ];
        }, 0);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses an index outside the axis and leaves nothing behind', async () => {
    await use('wasm');
    const before = allocations();
    for (const index of [-1, 4]) {
      expect(() => tf.tidy(() => tf.gather(values([4, 2]), tf.tensor1d([0, index], 'int32')))).toThrow(
        `index value ${index} is not in [0, 3]`,
      );
    }
    expect(allocations()).toEqual(before);
  });

  it('has the gradient of cpu along any axis', async () => {
    const axis = fc.integer({ min: 0, max: 2 });
    await fc.assert(
      fc.asyncProperty(axis, ids, async (along, ids) => {
        await expectSame(() => {
          const gather = (x: tf.Tensor): tf.Tensor => tf.gather(x, tf.tensor1d(ids, 'int32'), along);
          const x = values([4, 4, 4]);
          return [tf.grad(gather)(x, values(gather(x).shape, 2))];
        });
      }),
      { numRuns: 40 },
    );
  });
});
