/** The yardstick for contiguous cuts: what a search over all acyclic partitions finds. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contiguousBottleneck, leastAcyclicBottleneck } from '../../bench/partition/acyclic.mjs';
import { randomGraph, seededRandom } from '../../bench/partition/random-graphs.mjs';

const FREE = { msPerMessage: 0, msPerByte: 0 };
const DEAR = { msPerMessage: 2, msPerByte: 0.1 };

const graphs = fc
  .record({
    seed: fc.nat(1e6),
    unitCount: fc.integer({ min: 4, max: 8 }),
    reach: fc.integer({ min: 1, max: 8 }),
  })
  .map(({ seed, ...form }) => randomGraph(seededRandom(seed), { ...form, readCount: 2 }));

describe('the best acyclic partition', () => {
  it('is never worse than the best contiguous one', () => {
    fc.assert(
      fc.property(
        graphs,
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(FREE, DEAR),
        (graph, stages, price) => {
          const least = leastAcyclicBottleneck(graph, stages, price);
          expect(least).toBeLessThanOrEqual(contiguousBottleneck(graph, stages, price) + 1e-9);
          expect(least).toBeGreaterThanOrEqual(graph.ms.reduce((sum, ms) => sum + ms, 0) / stages - 1e-9);
        },
      ),
    );
  });

  it('is the same for a chain, which has one order alone', () => {
    fc.assert(
      fc.property(fc.nat(1e6), fc.integer({ min: 2, max: 4 }), (seed, stages) => {
        const graph = randomGraph(seededRandom(seed), { unitCount: 7, reach: 1, readCount: 1 });
        expect(contiguousBottleneck(graph, stages, DEAR)).toBeCloseTo(
          leastAcyclicBottleneck(graph, stages, DEAR),
          9,
        );
      }),
    );
  });

  it('is better where branches can be dealt out evenly that are listed one after the other', () => {
    // 0 feeds 1, 2 and 3: 0 and 3 against 1 and 2 are even; no cut of the order 0 1 2 3 is.
    const graph = { ms: [4, 3, 3, 2], bytes: [0, 0, 0, 0], reads: [[], [0], [0], [0]] };
    expect(leastAcyclicBottleneck(graph, 2, FREE)).toBe(6);
    expect(contiguousBottleneck(graph, 2, FREE)).toBe(7);
  });

  it('counts on both sides what crosses, once however often it is read, and the messages', () => {
    // 0 is read by 1 and 2 behind the cut; 1 by 2.
    const graph = { ms: [50, 20, 30], bytes: [10, 40, 0], reads: [[], [0], [0, 1]] };
    const price = { msPerMessage: 2, msPerByte: 1 };
    expect(leastAcyclicBottleneck(graph, 2, price)).toBe(62);
    expect(contiguousBottleneck(graph, 2, price)).toBe(62);
  });
});
