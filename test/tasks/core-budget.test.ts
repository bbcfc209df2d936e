/** Cores that are shared: in order, never too many, and nobody waits for ever. */
import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CoreBudget } from '#internal/tasks/core-budget.js';

const never = new AbortController().signal;

/** What has been decided by the time that everything has settled which can. */
async function settled<T>(promise: Promise<T>): Promise<T | 'waits'> {
  return Promise.race([promise, setImmediate('waits' as const)]);
}

describe('a budget of cores', () => {
  it('gives what is free at once, nothing included', async () => {
    const budget = new CoreBudget(3);
    expect(await settled(budget.acquire(2, never))).toBe(true);
    expect(await settled(budget.acquire(0, never))).toBe(true);
    expect(budget.free).toBe(1);
  });

  it('lets nobody past who wants less', async () => {
    const budget = new CoreBudget(2);
    await budget.acquire(1, never);
    const wide = budget.acquire(2, never);
    const narrow = budget.acquire(1, never);
    expect([await settled(wide), await settled(narrow)]).toEqual(['waits', 'waits']);
    budget.release(1);
    expect([await settled(wide), await settled(narrow)]).toEqual([true, 'waits']);
    budget.release(2);
    expect(await settled(narrow)).toBe(true);
  });

  it('serves the next when the first one gives up waiting', async () => {
    const budget = new CoreBudget(2);
    await budget.acquire(1, never);
    const abort = new AbortController();
    const wide = budget.acquire(2, abort.signal);
    const narrow = budget.acquire(1, never);
    abort.abort();
    expect([await settled(wide), await settled(narrow)]).toEqual([false, true]);
  });

  it('gives nothing for a signal that has fired, and does not listen to one that fires later', async () => {
    const budget = new CoreBudget(1);
    const abort = new AbortController();
    await budget.acquire(1, abort.signal);
    abort.abort();
    expect(budget.free).toBe(0);
    expect(await settled(budget.acquire(0, abort.signal))).toBe(false);
  });

  it('refuses what it can never give', async () => {
    await expect(new CoreBudget(2).acquire(3, never)).rejects.toThrow(RangeError);
  });

  it('gives in the order of asking, and never more than there is', async () => {
    const total = 4;
    const wishes = fc.array(fc.integer({ min: 0, max: total }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(wishes, async counts => {
        const budget = new CoreBudget(total);
        const given: number[] = [];
        const jobs = counts.map(async (count, index) => {
          await budget.acquire(count, new AbortController().signal);
          given.push(index);
          expect(budget.free).toBeGreaterThanOrEqual(0);
          await setImmediate();
          budget.release(count);
        });
        await Promise.all(jobs);
        expect(given).toEqual(counts.map((_, index) => index));
        expect(budget.free).toBe(total);
      }),
      { numRuns: 50 },
    );
  });
});
