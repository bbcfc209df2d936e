import { describe, expect, it } from 'vitest';
import { geometricMean, median, spread } from '../../bench/run/statistics.mjs';

describe('statistics of the benchmarks', () => {
  it('take the middle of an odd number of values and the mean of the middle two of an even one', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([9, 1, 5, 6])).toBe(5.5);
    expect(median([3])).toBe(3);
  });

  it('leave the values in the order they came in', () => {
    const values = [3, 1, 2];
    expect(spread(values)).toEqual({ median: 2, min: 1, max: 3 });
    expect(values).toEqual([3, 1, 2]);
  });

  it('have a mean of ratios that does not depend on who is divided by whom', () => {
    expect(geometricMean([2, 8])).toBeCloseTo(4, 12);
    expect(geometricMean([1 / 2, 1 / 8])).toBeCloseTo(1 / 4, 12);
  });
});
