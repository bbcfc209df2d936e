/** Interleaved 1F1B against Megatron-LM's figures, in units in which a worker's whole share of a micro-batch is F = B = W = 1. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fullBackward, unitCost } from '#internal/scheduler/plan/costs.js';
import { generateSchedule } from '#internal/scheduler/plan/schedules/index.js';
import { simulateSchedule } from '#internal/scheduler/plan/simulate.js';
import { formatPrograms } from '#internal/scheduler/plan/text.js';
import { validateSchedule } from '#internal/scheduler/plan/validate.js';
import { onOwnWorkers, picture, placed, type Schedule } from './support.js';

/** Each stage costs 1/v of the share, and the backward pass is one piece. */
function makespanOf(schedule: Schedule, v: number): number {
  const cost = fullBackward(unitCost);
  return simulateSchedule(schedule, { cost: action => cost(action) / v }).makespan;
}

describe('published figures', () => {
  it.each([
    { p: 4, m: 4, makespan: 16.5 },
    { p: 4, m: 8, makespan: 28.5 },
    { p: 8, m: 16, makespan: 58.5 },
  ])('p=$p, m=$m, v=2: makespan $makespan', ({ p, m, makespan }) => {
    expect(makespanOf(placed('interleaved', 2 * p, p, m), 2)).toBe(makespan);
  });

  it('a bubble of (p−1)(F+B+W)/v and p + (p−1−2r)/v live shares, for every v and multiple of p', () => {
    for (const p of [2, 3, 4, 6]) {
      for (const v of [2, 3, 4]) {
        for (const m of [p, 2 * p, 5 * p]) {
          const schedule = placed('interleaved', v * p, p, m);
          validateSchedule(schedule);
          expect(makespanOf(schedule, v)).toBeCloseTo(3 * m + (3 * (p - 1)) / v, 9);
          const peaks = schedule.orders.map((_, r) => Math.min(v * m, v * p + (p - 1 - 2 * r)));
          expect(simulateSchedule(schedule).peakLiveOfWorker).toEqual(peaks);
        }
      }
    }
  });
});

describe('any size', () => {
  const sizes = fc.record({
    p: fc.integer({ min: 1, max: 6 }),
    v: fc.integer({ min: 2, max: 4 }),
    m: fc.integer({ min: 1, max: 20 }),
  });

  it('is valid where p does not divide m, shorter than 1F1B, and keeps no more than for the next multiple', () => {
    fc.assert(
      fc.property(sizes, ({ p, v, m }) => {
        const schedule = placed('interleaved', v * p, p, m);
        validateSchedule(schedule);
        const next = Math.ceil(m / p) * p;
        expect(makespanOf(schedule, v)).toBeLessThanOrEqual(3 * next + (3 * (p - 1)) / v + 1e-9);
        expect(makespanOf(schedule, v)).toBeLessThanOrEqual(3 * (m + p - 1) + 1e-9);
        const peaks = simulateSchedule(schedule).peakLiveOfWorker;
        for (const [r, peak] of peaks.entries()) {
          expect(peak).toBeLessThanOrEqual(p === 1 ? v : Math.min(v * m, v * p + p - 1 - 2 * r));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('takes micro-batches from all groups alike: 9 on 4 workers are 3, 3 and 3', () => {
    const [order] = placed('interleaved', 8, 4, 9).orders;
    const forwards = order!.filter(({ kind }) => kind === 'forward').slice(0, 9);
    expect(forwards.map(({ stage, microBatches }) => `${stage}F${microBatches}`)).toEqual([
      '0F0',
      '0F1',
      '0F2',
      '4F0',
      '4F1',
      '4F2',
      '0F3',
      '0F4',
      '0F5',
    ]);
  });

  it('is 1F1B with one run of stages a worker', () => {
    for (const [stages, m] of [
      [1, 3],
      [4, 2],
      [4, 9],
    ] as const) {
      const plain = onOwnWorkers('1f1b', stages, m);
      expect(generateSchedule('interleaved', plain).orders).toEqual(plain.orders);
    }
  });

  it('takes another placement as round robin with runs left out', () => {
    const schedule = generateSchedule('interleaved', {
      stageCount: 5,
      microBatchCount: 2,
      workerOfStage: [0, 1, 1, 0, 0],
    });
    validateSchedule(schedule);
    expect(formatPrograms(schedule.orders)).toBe(
      picture(`
        worker 0: 0F0 0F1 3F0 4F0 3F1 4F1 4B0 4W0 3B0 3W0 4B1 4W1 3B1 3W1 0B0 0W0 0B1 0W1
        worker 1: 1F0 2F0 1F1 2F1 2B0 2W0 1B0 1W0 2B1 2W1 1B1 1W1
      `),
    );
  });
});
