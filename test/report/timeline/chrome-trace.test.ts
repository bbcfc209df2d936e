/** The trace for Perfetto. */
import fc from 'fast-check';
import type { ChromeTraceEvent } from 'millrace';
import { describe, expect, it } from 'vitest';
import { madeUpTimeline } from './support.js';

const MEASURED = 1;

const options = fc.record({
  stageCount: fc.integer({ min: 1, max: 5 }),
  microBatchCount: fc.integer({ min: 1, max: 5 }),
  stepCount: fc.integer({ min: 1, max: 3 }),
});

const eventsOf = (events: readonly ChromeTraceEvent[], ph: string) =>
  events.filter(event => event.ph === ph && event.pid === MEASURED);

describe('a trace', () => {
  it('has a slice for each action, with its place, on a row for each worker', () => {
    const timeline = madeUpTimeline({ stageCount: 3, stepCount: 2 });
    const { traceEvents } = timeline.toChromeTrace();
    const slices = eventsOf(traceEvents, 'X');
    expect(slices).toHaveLength(timeline.steps.flatMap(({ actions }) => actions).length);
    expect(new Set(slices.map(({ tid }) => tid))).toEqual(new Set([0, 1, 2]));
    const first = slices.find(({ name, tid }) => name === 'F2' && tid === 1)!;
    expect(first).toMatchObject({
      cat: 'forward',
      args: { stage: 1, replica: 0, microBatches: '2', step: 100, epoch: 0, batch: 0 },
    });
    const names = eventsOf(traceEvents, 'M').filter(({ name }) => name === 'thread_name');
    expect(names.map(({ args }) => args!['name'])).toEqual(['worker 0', 'worker 1', 'worker 2']);
  });

  it('joins every message between stages by an arrow that does not go back in time', () => {
    fc.assert(
      fc.property(options, made => {
        const { traceEvents } = madeUpTimeline(made).toChromeTrace();
        const [from, to] = ['s', 'f'].map(
          ph => new Map(eventsOf(traceEvents, ph).map(event => [event.id, event])),
        );
        const sends = eventsOf(traceEvents, 'X').filter(({ cat }) => cat === 'send');
        expect(from!.size).toBe(sends.length);
        expect([...to!.keys()].sort()).toEqual([...from!.keys()].sort());
        for (const [id, { ts, tid }] of from!) {
          expect(to!.get(id)!.ts).toBeGreaterThanOrEqual(ts);
          expect(Math.abs(to!.get(id)!.tid - tid)).toBe(1);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('counts live micro-batches from 0 to the peak of the schedule and back to 0', () => {
    fc.assert(
      fc.property(options, made => {
        const timeline = madeUpTimeline({ ...made, schedule: 'gpipe' });
        const counters = eventsOf(timeline.toChromeTrace().traceEvents, 'C');
        for (let worker = 0; worker < made.stageCount; worker++) {
          const counts = counters
            .filter(({ name }) => name === `worker ${worker} live micro-batches`)
            .map(({ args }) => args!['microBatches'] as number);
          expect(Math.max(...counts)).toBe(made.microBatchCount);
          expect(Math.min(...counts)).toBe(0);
          expect(counts.at(-1)).toBe(0);
          const bytes = counters
            .filter(({ name }) => name === `worker ${worker} activation bytes`)
            .map(({ args }) => args!['bytes'] as number);
          // Eight samples a micro-batch.
          const { activationBytesPerSample } = timeline.plan.stages[worker]!;
          expect(bytes).toEqual(counts.map(count => count * 8 * activationBytesPerSample));
        }
      }),
      { numRuns: 30 },
    );
  });
});
