/** Orders made for measured costs and limits: valid, within the limits, and no worse than the orders that have a name. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ActionCost, unitCost } from '#internal/scheduler/plan/costs.js';
import { generateSchedule } from '#internal/scheduler/plan/schedules/index.js';
import { LIST_RULES, listSchedule } from '#internal/scheduler/plan/schedules/list-scheduler.js';
import { MemoryBudget } from '#internal/scheduler/plan/schedules/memory-budget.js';
import { simulateSchedule } from '#internal/scheduler/plan/simulate.js';
import { validateSchedule } from '#internal/scheduler/plan/validate.js';
import { onOwnWorkers, placements, type Schedule, thrownBy } from './support.js';

interface Prices {
  /** By stage: F, B, W of one micro-batch. */
  readonly ofStage: readonly (readonly number[])[];
  readonly message: number;
}

function costOf({ ofStage, message }: Prices): ActionCost {
  return action => {
    const [forward, backward, weight] = ofStage[action.stage]!;
    switch (action.kind) {
      case 'forward':
        return forward!;
      case 'backwardInput':
        return backward!;
      case 'backwardWeight':
        return weight! * action.microBatches.length;
      case 'send':
        return message;
      default:
        return 0;
    }
  };
}

const problems = fc
  .record({ stageCount: fc.integer({ min: 1, max: 6 }), microBatchCount: fc.integer({ min: 1, max: 8 }) })
  .chain(({ stageCount, microBatchCount }) =>
    fc.record({
      stageCount: fc.constant(stageCount),
      microBatchCount: fc.constant(microBatchCount),
      workerOfStage: placements(stageCount),
      prices: fc.record({
        ofStage: fc.array(fc.array(fc.nat(20), { minLength: 3, maxLength: 3 }), {
          minLength: stageCount,
          maxLength: stageCount,
        }),
        message: fc.nat(3),
      }),
      /** Beyond one micro-batch of every stage, without which nothing runs. */
      spareLive: fc.array(fc.nat(6), { minLength: 4, maxLength: 6 }),
      activationBytes: fc.array(fc.integer({ min: 1, max: 9 }), {
        minLength: stageCount,
        maxLength: stageCount,
      }),
      spareBytes: fc.nat(40),
    }),
  );

const stagesOf = (workerOfStage: readonly number[], worker: number): number[] =>
  workerOfStage.flatMap((owner, stage) => (owner === worker ? [stage] : []));

describe('greedy', () => {
  it('keeps within a limit of live micro-batches, and is no slower than 1f1b and zero-bubble where they do', () => {
    fc.assert(
      fc.property(problems, ({ prices, spareLive, ...params }) => {
        const cost = costOf(prices);
        const workers = new Set(params.workerOfStage).size;
        const liveLimit = Array.from(
          { length: workers },
          (_, worker) => stagesOf(params.workerOfStage, worker).length + (spareLive[worker] ?? 0),
        );
        const schedule = generateSchedule('greedy', { ...params, cost, limits: { liveLimit } });
        validateSchedule(schedule, { liveLimit });
        const { makespan } = simulateSchedule(schedule, { cost });
        for (const name of ['1f1b', 'zero-bubble']) {
          const other = simulateSchedule(generateSchedule(name, params), { cost });
          if (other.peakLiveOfWorker.some((peak, worker) => peak > liveLimit[worker]!)) continue;
          expect(makespan).toBeLessThanOrEqual(other.makespan);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('keeps within a limit of bytes, and both limits where both are given', () => {
    fc.assert(
      fc.property(problems, fc.boolean(), ({ prices, activationBytes, spareBytes, ...params }, both) => {
        const { workerOfStage } = params;
        const sizes = Array.from(new Set(workerOfStage), (_, worker) =>
          stagesOf(workerOfStage, worker).reduce((sum, stage) => sum + activationBytes[stage]!, 0),
        );
        const limitBytes = Math.max(...sizes) + spareBytes;
        const liveLimit = both ? params.stageCount + 1 : undefined;
        const limits = { limitBytes, activationBytes, liveLimit };
        const schedule = generateSchedule('greedy', { ...params, cost: costOf(prices), limits });
        validateSchedule(schedule, both ? { liveLimit: params.stageCount + 1 } : {});
        for (const order of schedule.orders) {
          let bytes = 0;
          for (const { kind, stage, microBatches } of order) {
            if (kind === 'forward') bytes += activationBytes[stage]!;
            if (kind === 'backwardWeight') bytes -= microBatches.length * activationBytes[stage]!;
            expect(bytes).toBeLessThanOrEqual(limitBytes);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('without limits keeps no more than zero-bubble, and is no slower', () => {
    fc.assert(
      fc.property(problems, ({ prices, ...params }) => {
        const cost = costOf(prices);
        const other = simulateSchedule(generateSchedule('zero-bubble', params), { cost });
        const own = simulateSchedule(generateSchedule('greedy', { ...params, cost }), { cost });
        expect(own.makespan).toBeLessThanOrEqual(other.makespan);
        for (const [worker, peak] of own.peakLiveOfWorker.entries())
          expect(peak).toBeLessThanOrEqual(other.peakLiveOfWorker[worker]!);
      }),
    );
  });

  it('gives the same order for the same question', () => {
    fc.assert(
      fc.property(problems, ({ prices, ...params }) => {
        const make = (): Schedule => generateSchedule('greedy', { ...params, cost: costOf(prices) });
        expect(make()).toEqual(make());
      }),
      { numRuns: 20 },
    );
  });

  it('does better than both where stages differ', () => {
    const cost = costOf({
      ofStage: [
        [4, 4, 1],
        [1, 1, 6],
        [2, 5, 3],
      ],
      message: 1,
    });
    const time = (name: string): number =>
      simulateSchedule(generateSchedule(name, { ...onOwnWorkers('1f1b', 3, 8), cost }), { cost }).makespan;
    expect(time('greedy')).toBeLessThan(Math.min(time('1f1b'), time('zero-bubble')));
  });

  it('predicts the makespan that the simulator finds', () => {
    const rules = fc.constantFrom(...LIST_RULES);
    fc.assert(
      fc.property(problems, rules, ({ prices, ...params }, rule) => {
        const cost = costOf(prices);
        const { orders, makespan } = listSchedule({ ...params, cost }, new MemoryBudget(params, {}), rule);
        const schedule: Schedule = { ...params, name: 'listed', orders };
        expect(simulateSchedule(schedule, { cost }).makespan).toBe(makespan);
      }),
    );
  });
});

describe('limits', () => {
  it('that leave no room for one micro-batch are refused', () => {
    const params = { stageCount: 4, microBatchCount: 3, workerOfStage: [0, 1, 1, 0] };
    const live = thrownBy(() => generateSchedule('greedy', { ...params, limits: { liveLimit: [2, 1] } }));
    expect(live).toMatchObject({ code: 'MILLRACE_SCHEDULE', fault: 'memory', worker: 1 });
    expect((live as Error).message).toBe(
      'worker 1 keeps at least 2 live micro-batches, one of each of its 2 stages, but its limit is 1',
    );
    const bytes = { limitBytes: 100, activationBytes: [60, 10, 10, 50] };
    expect(() => generateSchedule('greedy', { ...params, limits: bytes })).toThrow(
      'worker 0 keeps at least 110 bytes, one of each of its 2 stages, but its limit is 100',
    );
  });

  it('of bytes need the bytes of every stage', () => {
    const params = { stageCount: 2, microBatchCount: 1, workerOfStage: [0, 1], cost: unitCost };
    for (const activationBytes of [undefined, [1]]) {
      expect(() =>
        generateSchedule('greedy', { ...params, limits: { limitBytes: 9, activationBytes } }),
      ).toThrow('limitBytes needs activationBytes with a number for each of the 2 stages');
    }
  });
});
