import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { epochOrder } from '#internal/scheduler/driver/shuffle.js';

const seeds = fc.maxSafeNat();
const epochs = fc.nat(100_000);
/** Long enough that two independent orders never agree by chance: 64! is 10^89. */
const MANY = 64;

describe('the order of an epoch', () => {
  it('is a permutation of all samples for any count, seed and epoch', () => {
    fc.assert(
      fc.property(fc.nat(300), fc.boolean(), seeds, epochs, (count, shuffle, seed, epoch) => {
        const order = epochOrder(count, shuffle, seed, epoch);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
      }),
    );
  });

  it('is that of the samples without shuffling', () => {
    fc.assert(
      fc.property(fc.nat(300), seeds, epochs, (count, seed, epoch) => {
        expect([...epochOrder(count, false, seed, epoch)]).toEqual(
          Array.from({ length: count }, (_, i) => i),
        );
      }),
    );
  });

  it('is the same every time for the same seed and epoch', () => {
    fc.assert(
      fc.property(seeds, epochs, (seed, epoch) => {
        expect(epochOrder(MANY, true, seed, epoch)).toEqual(epochOrder(MANY, true, seed, epoch));
      }),
    );
  });

  it('is another one for every seed and every epoch', () => {
    const orders = new Set<string>();
    const someSeeds = [...Array.from({ length: 60 }, (_, seed) => seed), 2 ** 31, 2 ** 32 + 1_000, 2 ** 45];
    for (const seed of someSeeds) {
      for (let epoch = 0; epoch < 60; epoch++) orders.add(epochOrder(MANY, true, seed, epoch).join());
    }
    expect(orders.size).toBe(someSeeds.length * 60);
  });

  it('is another one for every fit of a trainer', () => {
    const orders = new Set<string>();
    for (let fit = 0; fit < 100; fit++) {
      for (let epoch = 0; epoch < 20; epoch++) orders.add(epochOrder(MANY, true, 7, epoch, fit).join());
    }
    expect(orders.size).toBe(2_000);
  });

  it('puts each sample at each position equally often', () => {
    const count = 16;
    const runs = 20_000;
    // Two ways to take many orders: one seed's epochs, and one epoch of many seeds.
    for (const orderOf of [
      (run: number) => epochOrder(count, true, 42, run),
      (run: number) => epochOrder(count, true, run, 0),
    ]) {
      const seen = new Float64Array(count * count);
      for (let run = 0; run < runs; run++) {
        orderOf(run).forEach((sample, position) => {
          seen[sample * count + position]! += 1;
        });
      }
      const expected = runs / count;
      const chiSquare = seen.reduce((sum, times) => sum + (times - expected) ** 2 / expected, 0);
      // Degrees of freedom of a table whose rows and columns all have the same sum; 5 standard deviations.
      const freedom = (count - 1) ** 2;
      expect(Math.abs(chiSquare - freedom)).toBeLessThan(5 * Math.sqrt(2 * freedom));
    }
  });

  it('has nothing to do with the order of the epoch before, nor with that of the seed before', () => {
    const runs = 5_000;
    for (const [now, before] of [
      [(run: number) => epochOrder(MANY, true, 7, run + 1), (run: number) => epochOrder(MANY, true, 7, run)],
      [(run: number) => epochOrder(MANY, true, run + 1, 3), (run: number) => epochOrder(MANY, true, run, 3)],
    ] as const) {
      let agreeing = 0;
      for (let run = 0; run < runs; run++) {
        const other = before(run);
        agreeing += now(run).filter((sample, position) => sample === other[position]).length;
      }
      // Two independent permutations agree at one position on average, with variance 1; 5 standard deviations.
      expect(Math.abs(agreeing / runs - 1)).toBeLessThan(5 / Math.sqrt(runs));
    }
  });
});
