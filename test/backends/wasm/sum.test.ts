import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectSame, heapBytes, use, values } from './both-backends.js';

describe('Sum on wasm', () => {
  it('sums over any axes as cpu does, with and without keeping them', async () => {
    const problem = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }).chain(shape =>
      fc.record({
        shape: fc.constant(shape),
        axes: fc.shuffledSubarray([...shape.keys()], { minLength: 1 }),
        isNegative: fc.boolean(),
        keepDims: fc.boolean(),
        dtype: fc.constantFrom<'float32' | 'int32'>('float32', 'int32'),
      }),
    );
    await fc.assert(
      fc.asyncProperty(problem, async ({ shape, axes, isNegative, keepDims, dtype }) => {
        // Whole numbers of both signs are summed exactly; floats of both signs may leave a sum of nothing but rounding.
        const numbers = (): tf.Tensor => values(shape).add(dtype === 'float32' ? 1 : 0);
        await expectSame(() => [
          tf.sum(
            numbers().mul(10).cast(dtype),
            axes.map(axis => (isNegative ? axis - shape.length : axis)),
            keepDims,
          ),
        ]);
      }),
      { numRuns: 150 },
    );
  });

  it('keeps long sums accurate', async () => {
    await use('wasm');
    // 0.1 is not a float32: one running sum of a million of them is off by a percent (100,958).
    const sum = tf.tidy(() => tf.sum(tf.fill([1_000_000, 3], 0.1), 0).dataSync());
    for (const column of sum) expect(Math.abs(column / 100_000 - 1)).toBeLessThan(1e-4);
  });
});

describe('Identity on wasm', () => {
  it('shares data that outlives the original', async () => {
    await use('wasm');
    const original = values([1 << 20]);
    const first = original.slice(0, 1).dataSync()[0];
    original.clone().dispose();
    const before = heapBytes();
    const clones = Array.from({ length: 100 }, () => original.clone());
    expect(heapBytes()).toBe(before);
    original.dispose();
    expect(clones[99]?.slice(0, 1).dataSync()[0]).toBe(first);
    tf.dispose(clones);
  });

  it('moves to another backend with all its references', async () => {
    await use('wasm');
    const original = tf.tensor1d([1, 2, 3]);
    const clone = original.clone();
    await use('cpu');
    expect([...tf.tidy(() => original.add(clone)).dataSync()]).toEqual([2, 4, 6]);
    original.dispose();
    expect([...clone.dataSync()]).toEqual([1, 2, 3]);
    clone.dispose();
  });
});
