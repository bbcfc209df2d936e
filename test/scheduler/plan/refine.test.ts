/** Cuts that are moved to where a given time is least. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Cuts, refineCuts } from '#internal/scheduler/plan/index.js';

const refine = (
  start: Cuts,
  allowedCuts: readonly number[],
  msAt: (cuts: Cuts) => number | undefined,
  { leastGain = 0, mostTrials = 1_000 } = {},
) => {
  const tried: Cuts[] = [];
  const judge = (cuts: Cuts) => {
    const periodMs = msAt(cuts);
    return periodMs === undefined ? undefined : { cuts, periodMs };
  };
  const { cuts, periodMs } = refineCuts(judge(start)!, {
    allowedCuts,
    judge: moved => {
      tried.push(moved);
      return judge(moved);
    },
    leastGain,
    mostTrials,
  });
  return { cuts, ms: periodMs, tried };
};

/** Some of the places from 1 to 30, ascending. */
const places = fc
  .uniqueArray(fc.integer({ min: 1, max: 30 }), { minLength: 4, maxLength: 12 })
  .map(all => all.sort((one, other) => one - other));

describe('refined cuts', () => {
  it('of two stages are the best of all where times fall and then rise', () => {
    fc.assert(
      fc.property(places, fc.nat(30), fc.nat(100), (allowed, valley, first) => {
        const msAt = ([cut]: Cuts) => 10 + Math.abs(cut! - valley);
        const { ms } = refine([allowed[first % allowed.length]!], allowed, msAt);
        expect(ms).toBe(Math.min(...allowed.map(cut => msAt([cut]))));
      }),
    );
  });

  it('are allowed, ascending, each tried once, never slower, and as many as were given', () => {
    const times = fc.func(fc.integer({ min: 1, max: 1_000 }));
    fc.assert(
      fc.property(places, times, fc.integer({ min: 1, max: 4 }), (allowed, msAt, count) => {
        const start = allowed.slice(0, count);
        const { cuts, ms, tried } = refine(start, allowed, msAt);
        for (const one of [cuts, ...tried]) {
          expect(one).toHaveLength(count);
          expect(one.every((cut, index) => allowed.includes(cut) && cut > (one[index - 1] ?? 0))).toBe(true);
        }
        expect(new Set(tried.map(String)).size).toBe(tried.length);
        expect(ms).toBe(Math.min(msAt(start), ...tried.map(one => msAt(one))));
      }),
    );
  });

  it('stay where all moves together gain too little, and go where they gain enough', () => {
    const msAt = ([cut]: Cuts) => 100 - cut!;
    // Each move gains a hundredth.
    expect(refine([1], [1, 2, 3], msAt, { leastGain: 0.015 }).cuts).toEqual([3]);
    expect(refine([1], [1, 2, 3], msAt, { leastGain: 0.05 }).cuts).toEqual([1]);
    expect(refine([1], [1, 2, 3], msAt, { leastGain: 0.005 }).cuts).toEqual([3]);
  });

  it('are none that cannot be used', () => {
    expect(refine([1], [1, 2, 3], ([cut]) => (cut === 2 ? undefined : 10 - cut!)).cuts).toEqual([1]);
  });

  it('are looked for no longer than allowed', () => {
    const allowed = Array.from({ length: 100 }, (_, index) => index + 1);
    const { tried } = refine([1], allowed, ([cut]) => 1_000 - cut!, { mostTrials: 7 });
    expect(tried).toHaveLength(7);
    expect(refine([50], allowed, ([cut]) => 1_000 - cut!, { mostTrials: 1 }).tried).toEqual([]);
  });
});
