/** What measured costs come to, action by action and mini-batch by mini-batch. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  actionCostOf,
  chainTopology,
  generateSchedule,
  lower,
  type PlanCosts,
  place,
  predict,
  type StageCost,
} from '#internal/scheduler/plan/index.js';

const ROWS = 4;

const call = fc.record({
  ms: fc.double({ min: 0.1, max: 10, noNaN: true }),
  msPerRow: fc.double({ min: 0, max: 1, noNaN: true }),
});

const stageCost: fc.Arbitrary<StageCost> = fc.record({
  forward: call,
  backwardInput: call,
  backwardWeight: call,
  accumulateMs: fc.double({ min: 0, max: 2, noNaN: true }),
  stepMs: fc.double({ min: 0, max: 5, noNaN: true }),
});

const planned = fc
  .record({ stageCount: fc.integer({ min: 1, max: 4 }), microBatchCount: fc.integer({ min: 1, max: 5 }) })
  .chain(({ stageCount, microBatchCount }) =>
    fc.record({
      stageCount: fc.constant(stageCount),
      microBatchCount: fc.constant(microBatchCount),
      name: fc.constantFrom('gpipe', '1f1b', 'zero-bubble'),
      costs: fc.record({
        batchSize: fc.constant(ROWS * microBatchCount),
        microBatchRows: fc.constant(ROWS),
        stages: fc.array(stageCost, { minLength: stageCount, maxLength: stageCount }),
        messages: fc.array(call, { minLength: stageCount - 1, maxLength: stageCount - 1 }),
        replicaMessageMs: fc.constant(Array.from({ length: stageCount }, () => 0)),
      }),
    }),
  );

function programsOf(name: string, stageCount: number, microBatchCount: number) {
  const workerOfStage = place(stageCount, stageCount);
  const schedule = generateSchedule(name as 'gpipe', { stageCount, microBatchCount, workerOfStage });
  return lower(schedule, chainTopology(stageCount));
}

const costs: PlanCosts = {
  batchSize: 8,
  microBatchRows: ROWS,
  stages: [
    {
      forward: { ms: 3, msPerRow: 0.5 },
      backwardInput: { ms: 5, msPerRow: 0.25 },
      backwardWeight: { ms: 7, msPerRow: 1 },
      accumulateMs: 0.5,
      stepMs: 2,
    },
    {
      forward: { ms: 13, msPerRow: 0.5 },
      backwardInput: { ms: 15, msPerRow: 0.25 },
      backwardWeight: { ms: 17, msPerRow: 1 },
      accumulateMs: 1.5,
      stepMs: 12,
    },
  ],
  messages: [{ ms: 1, msPerRow: 0.125 }],
  replicaMessageMs: [0, 0],
};

describe('the cost of an action', () => {
  const cost = actionCostOf(costs);

  it('is the measured one of its stage and kind', () => {
    expect(cost({ kind: 'forward', stage: 0, microBatches: [1] })).toBe(3);
    expect(cost({ kind: 'recompute', stage: 1, microBatches: [0] })).toBe(13);
    expect(cost({ kind: 'backwardInput', stage: 1, microBatches: [0] })).toBe(15);
    expect(cost({ kind: 'step', stage: 1 })).toBe(12);
  });

  it('is that of one call over all rows where W names several micro-batches', () => {
    expect(cost({ kind: 'backwardWeight', stage: 0, microBatches: [0, 1, 2] })).toBe(7 + 2 * ROWS * 1);
  });

  it('of W has an addition in it for all but the first micro-batch', () => {
    expect(cost({ kind: 'backwardWeight', stage: 1, microBatches: [0] })).toBe(17);
    expect(cost({ kind: 'backwardWeight', stage: 1, microBatches: [1] })).toBe(17 + 1.5);
    expect(cost({ kind: 'backwardWeight', stage: 1, microBatches: [1, 2] })).toBe(17 + ROWS + 1.5);
  });

  it('is the same for sending an activation and the gradient that comes back, and nothing for receiving', () => {
    expect(cost({ kind: 'send', stage: 0, microBatches: [0], pass: 'forward', peer: 1 })).toBe(1);
    expect(cost({ kind: 'send', stage: 1, microBatches: [0], pass: 'backward', peer: 0 })).toBe(1);
    expect(cost({ kind: 'receive', stage: 1, microBatches: [0], pass: 'forward', peer: 0 })).toBe(0);
    expect(cost({ kind: 'send', stage: 1, microBatches: [0], pass: 'forward', peer: 'driver' })).toBe(0);
  });

  it('is that of the same stage for its copies on other samples', () => {
    expect(cost({ kind: 'forward', stage: 3, microBatches: [0] })).toBe(13);
    expect(cost({ kind: 'send', stage: 2, microBatches: [0], pass: 'forward', peer: 3 })).toBe(1);
  });

  it('follows the rows of its micro-batches, and is nothing for those that are not there', () => {
    const other = actionCostOf(costs, [8, 6]);
    expect(other({ kind: 'forward', stage: 0, microBatches: [0] })).toBe(3 + 4 * 0.5);
    expect(other({ kind: 'backwardWeight', stage: 0, microBatches: [0, 1] })).toBe(7 + 10 * 1);
    expect(other({ kind: 'forward', stage: 0, microBatches: [2] })).toBe(0);
    expect(other({ kind: 'backwardWeight', stage: 0, microBatches: [2, 3] })).toBe(0);
  });
});

describe('a prediction', () => {
  it('has no period shorter than the busiest worker, and none longer than a mini-batch alone', () => {
    fc.assert(
      fc.property(planned, ({ name, stageCount, microBatchCount, costs: made }) => {
        const programs = programsOf(name, stageCount, microBatchCount);
        const { prediction } = predict(programs, made.batchSize, actionCostOf(made));
        const { periodMs, makespanMs, bubbleFraction, workers, rows } = prediction;
        expect(rows).toBe(made.batchSize);
        const busiest = Math.max(...workers.map(({ busyMs }) => busyMs));
        expect(periodMs).toBeGreaterThanOrEqual(busiest * (1 - 1e-9));
        expect(periodMs).toBeLessThanOrEqual(makespanMs * (1 + 1e-9));
        const busy = workers.reduce((sum, { busyMs }) => sum + busyMs, 0);
        expect(bubbleFraction).toBeCloseTo(1 - busy / (stageCount * periodMs), 6);
      }),
    );
  });

  it('of one worker has no idle time, and takes the sum of its actions', () => {
    const programs = programsOf('1f1b', 1, 2);
    const one = { ...costs, stages: costs.stages.slice(0, 1), messages: [] };
    const { prediction } = predict(programs, 8, actionCostOf(one));
    expect(prediction.bubbleFraction).toBe(0);
    expect(prediction.periodMs).toBe(2 * (3 + 5 + 7) + 0.5 + 2);
    expect(prediction.workers[0]!.peakLive).toBe(1);
  });
});
