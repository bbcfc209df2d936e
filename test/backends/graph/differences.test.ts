/** When a graph's results count as those of its ops. */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { areAlike } from '#internal/backends/tensorflow/graph/differences.js';

beforeAll(() => tf.setBackend('cpu'));

type Values = readonly number[];

const areAlikeValues = (actual: readonly Values[], expected: readonly Values[]): boolean =>
  tf.tidy(() =>
    areAlike(
      actual.map(values => tf.tensor1d([...values])),
      expected.map(values => tf.tensor1d([...values])),
    ),
  );

const number = fc.integer({ min: -1_000, max: 1_000 }).map(thousandths => thousandths / 1_000);
const results = fc.array(fc.array(number, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 });

/** The results with the largest number of one of them moved by a part of itself. */
function withLargestMoved(all: readonly Values[], index: number, part: number): number[][] {
  return all.map((values, result) => {
    if (result !== index) return [...values];
    const sizes = values.map(Math.abs);
    const place = sizes.indexOf(Math.max(...sizes));
    return values.map((value, at) => (at === place ? value * (1 + part) : value));
  });
}

describe('results of a graph', () => {
  it('are alike whatever their scale, where they differ by rounding', () => {
    fc.assert(
      fc.property(results, fc.integer({ min: -20, max: 20 }), fc.nat(2), (all, exponent, which) => {
        const scaled = all.map(values => values.map(value => value * 10 ** exponent));
        expect(areAlikeValues(withLargestMoved(scaled, which % all.length, 5e-4), scaled)).toBe(true);
      }),
    );
  });

  it('differ where the largest number of one of them is off by half a percent', () => {
    const large = fc.double({ min: 0.1, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.array(large, { minLength: 1 }), { minLength: 1 }), fc.nat(), (all, which) => {
        expect(areAlikeValues(withLargestMoved(all, which % all.length, 5e-3), all)).toBe(false);
      }),
    );
  });

  it('are alike where one is nothing but the rounding of another', () => {
    // A bias before a norm: its gradient is a sum of numbers that cancel.
    expect(
      areAlikeValues(
        [
          [10, -20],
          [3e-6, 0],
        ],
        [
          [10, -20],
          [-7e-6, 2e-6],
        ],
      ),
    ).toBe(true);
    expect(
      areAlikeValues(
        [
          [10, -20],
          [3e-4, 0],
        ],
        [
          [10, -20],
          [-7e-4, 2e-4],
        ],
      ),
    ).toBe(false);
    // Alone there is nothing beside which it could be rounding.
    expect(areAlikeValues([[3e-6, 0]], [[-7e-6, 2e-6]])).toBe(false);
  });

  it('must be infinite or no number in the same places', () => {
    expect(areAlikeValues([[Number.NaN, 1]], [[Number.POSITIVE_INFINITY, 1]])).toBe(true);
    expect(areAlikeValues([[1, 1]], [[Number.NaN, 1]])).toBe(false);
    expect(areAlikeValues([[Number.NaN, 1]], [[1, 1]])).toBe(false);
  });

  it('must have shape and element type in common', () => {
    tf.tidy(() => {
      expect(areAlike([tf.zeros([2, 3])], [tf.zeros([3, 2])])).toBe(false);
      expect(areAlike([tf.zeros([2], 'int32')], [tf.zeros([2])])).toBe(false);
      expect(areAlike([tf.zeros([2, 3])], [tf.zeros([2, 3])])).toBe(true);
    });
  });
});
