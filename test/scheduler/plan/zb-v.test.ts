/** ZB-V, in units in which a worker's whole share of a micro-batch is F = B = W = 1, so each of its two stages costs a half. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unitCost } from '#internal/scheduler/plan/costs.js';
import { simulateSchedule } from '#internal/scheduler/plan/simulate.js';
import { validateSchedule } from '#internal/scheduler/plan/validate.js';
import { placed } from './support.js';

const cost: typeof unitCost = action => unitCost(action) / 2;

describe('ZB-V', () => {
  it.each([
    { p: 4, m: 4, makespan: 13.5 },
    { p: 4, m: 8, makespan: 25.5 },
    { p: 8, m: 16, makespan: 51.5 },
  ])(
    'p=$p, m=$m: makespan $makespan, the work and the wait until the last worker begins',
    ({ p, m, makespan }) => {
      expect(simulateSchedule(placed('zb-v', 2 * p, p, m), { cost }).makespan).toBe(makespan);
      expect(makespan).toBe(3 * m + (p - 1) / 2);
    },
  );

  it('has no bubble inside a worker from 2p micro-batches on, or at the most one action of one stage', () => {
    for (let p = 1; p <= 8; p++) {
      for (let m = 2 * p; m <= 4 * p; m++) {
        const { times, programs } = simulateSchedule(placed('zb-v', 2 * p, p, m), { cost });
        const bubbles = times.map(({ start, end }, worker) => {
          const first = programs[worker]!.findIndex(({ kind }) => kind === 'forward');
          expect(start[first]).toBe(worker / 2);
          return end.at(-1)! - start[first]! - 3 * m;
        });
        expect(Math.max(...bubbles)).toBe(p < 5 ? 0 : 0.5);
      }
    }
  });

  it('goes on with the next mini-batch at once', () => {
    const schedule = placed('zb-v', 8, 4, 8);
    const makespan = (miniBatchCount: number): number =>
      simulateSchedule(schedule, { cost, miniBatchCount }).makespan;
    expect(makespan(5) - makespan(4)).toBe(3 * 8);
  });

  it('keeps p live shares on every worker, never above m', () => {
    for (let p = 1; p <= 6; p++) {
      for (const m of [1, 2, p, 2 * p, 3 * p + 1]) {
        const schedule = placed('zb-v', 2 * p, p, m);
        validateSchedule(schedule, { liveLimit: 2 * Math.min(p, m) });
        if (m < 2 * p) continue;
        const peaks = simulateSchedule(schedule).peakLiveOfWorker;
        expect(Math.max(...peaks)).toBe(2 * p);
      }
    }
  });

  it('is valid and within its memory for any number of stages', () => {
    const sizes = fc.record({
      stageCount: fc.integer({ min: 1, max: 12 }),
      workerCount: fc.integer({ min: 1, max: 5 }),
      m: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(sizes, ({ stageCount, workerCount, m }) => {
        const schedule = placed('zb-v', stageCount, workerCount, m);
        const stagesOf = (worker: number): number =>
          schedule.workerOfStage.filter(owner => owner === worker).length;
        validateSchedule(schedule, {
          liveLimit: schedule.orders.map((_, worker) => stagesOf(worker) * schedule.orders.length),
        });
      }),
    );
  });
});
