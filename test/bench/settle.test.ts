/** Systems of the benchmark warm up until they get no faster, by a clock of its own. */
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { settle, untilSteady } from '../../bench/run/settle.mjs';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Trains stretches of `stretchMs` each; the last of the times goes on for ever. */
function training(times: readonly number[], stretchMs: number) {
  let stretches = 0;
  return {
    get stretches() {
      return stretches;
    },
    async train(): Promise<number> {
      vi.advanceTimersByTime(stretchMs);
      stretches += 1;
      return times[Math.min(stretches, times.length) - 1]!;
    },
  };
}

describe('a warm-up', () => {
  it('ends after four stretches in a row that bring no gain of a hundredth, and tells the fastest', async () => {
    const system = training([8, 7, 6.5, 6.46, 6.6, 6.3, 6.3, 6.25, 6.4], 500);
    // 6.46 is no gain over 6.5, and 6.25 none over 6.3.
    expect(await untilSteady(system.train)).toBe(6.3);
    expect(system.stretches).toBe(10);
  });

  it('ends after half a minute where there is always a gain', async () => {
    const times = Array.from({ length: 200 }, (_, stretch) => 100 * 0.98 ** stretch);
    const system = training(times, 500);
    expect(await untilSteady(system.train)).toBe(times[59]);
    expect(system.stretches).toBe(60);
  });

  it('tells a time that nothing but less than a hundredth undercuts, whatever comes', async () => {
    const stretch = fc.double({ min: 1, max: 100, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(stretch, { minLength: 1, maxLength: 40 }), async times => {
        const system = training(times, 100);
        const fastest = await untilSteady(system.train);
        const seen = Array.from({ length: system.stretches }, (_, index) => times[index] ?? times.at(-1)!);
        expect(seen).toContain(fastest);
        expect(Math.min(...seen)).toBeGreaterThan(fastest * 0.99);
        const lastGain = seen.indexOf(fastest);
        expect(seen.length - 1 - lastGain).toBe(4);
      }),
    );
  });
});

describe('settling', () => {
  it('trains until the plan is found, and for a minute and a half at most', async () => {
    const system = training([5], 1_000);
    await settle(() => system.stretches >= 7, system.train);
    expect(system.stretches).toBe(7);
    await settle(async () => false, system.train);
    expect(system.stretches).toBe(7 + 90);
  });
});
