import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { expectSame, resultsOn, values } from './both-backends.js';

const axes = fc.array(
  fc
    .record({
      length: fc.integer({ min: 1, max: 5 }),
      begin: fc.nat(4),
      size: fc.integer({ min: -1, max: 5 }),
    })
    .map(({ length, begin, size }) => {
      const first = begin % length;
      return { length, begin: first, size: size < 0 ? -1 : Math.min(size, length - first) };
    }),
  { minLength: 1, maxLength: 5 },
);

it('slices on wasm are those of cpu, for any rank and element type', async () => {
  const dtypes = fc.constantFrom('float32' as const, 'int32' as const, 'bool' as const);
  await fc.assert(
    fc.asyncProperty(axes, dtypes, async (list, dtype) => {
      const begin = list.map(axis => axis.begin);
      const size = list.map(axis => axis.size);
      await expectSame(() => {
        const x = values(list.map(({ length }) => length));
        const typed = dtype === 'bool' ? tf.greater(x, 0) : tf.cast(tf.mul(x, 3), dtype);
        return [tf.slice(typed, begin, size)];
      });
    }),
    { numRuns: 150 },
  );
});

it('slices of strings are left to the backend', async () => {
  const [slice] = await resultsOn('wasm', () => [tf.slice(tf.tensor1d(['a', 'b', 'c']), [1], [1])]);
  expect(slice).toEqual({ shape: [1], dtype: 'string', values: ['b'] });
});
