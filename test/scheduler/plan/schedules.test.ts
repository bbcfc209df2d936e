import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fullBackward, unitCost } from '#internal/scheduler/plan/costs.js';
import { drawSchedule } from '#internal/scheduler/plan/grid.js';
import { place, placeInV, placeRoundRobin } from '#internal/scheduler/plan/placement.js';
import { forwardOnly } from '#internal/scheduler/plan/schedules/forward-only.js';
import { generateSchedule, SCHEDULE_NAMES } from '#internal/scheduler/plan/schedules/index.js';
import { simulateSchedule } from '#internal/scheduler/plan/simulate.js';
import { formatPrograms } from '#internal/scheduler/plan/text.js';
import { validateSchedule } from '#internal/scheduler/plan/validate.js';
import { onOwnWorkers, picture, placed, plans } from './support.js';

/** The grid in a source file's header comment. */
function pictureIn(file: string): string {
  const source = readFileSync(
    new URL(`../../../src/scheduler/plan/schedules/${file}`, import.meta.url),
    'utf8',
  );
  return [...source.matchAll(/^ \* {3}(worker .*)$/gm)].map(match => match[1]).join('\n');
}

describe('pictures in the source', () => {
  it.each([
    ['gpipe.ts', onOwnWorkers('gpipe', 3, 4)],
    ['one-f-one-b.ts', onOwnWorkers('1f1b', 3, 4)],
    ['zero-bubble.ts', onOwnWorkers('zero-bubble', 3, 4)],
    ['forward-only.ts', forwardOnly({ stageCount: 3, microBatchCount: 4, workerOfStage: [0, 1, 2] })],
    ['interleaved.ts', placed('interleaved', 4, 2, 4)],
    ['zb-v.ts', placed('zb-v', 4, 2, 4)],
  ])('%s draws what it generates', (file, schedule) => {
    expect(drawSchedule(schedule)).toBe(pictureIn(file));
    expect(pictureIn(file).split('\n')).toHaveLength(schedule.orders.length);
  });
});

/** Every W right behind its B, and one stage a worker; `interleaved.test.ts` is about several. */
const FULL_BACKWARD = ['gpipe', '1f1b'];

describe('published figures', () => {
  // p workers, m micro-batches; (p−1)(F+B+W) of bubble where the backward pass is one piece.
  const published = [
    { p: 4, m: 4, makespan: 21, early: 18, delayed: 15 },
    { p: 4, m: 8, makespan: 33, early: 30, delayed: 27 },
    { p: 8, m: 16, makespan: 69, early: 62, delayed: 55 },
  ];
  const cases = FULL_BACKWARD.flatMap(name => published.map(figures => ({ name, ...figures })));

  it.each(cases)('$name, p=$p, m=$m: makespan $makespan with a full backward', ({ name, p, m, makespan }) => {
    const simulation = simulateSchedule(onOwnWorkers(name, p, m), { cost: fullBackward(unitCost) });
    expect(simulation.makespan).toBe(makespan);
    expect(simulation.workers.map(worker => worker.idle)).toEqual(Array(p).fill((p - 1) * 3));
    expect(simulation.bubbleFraction).toBeCloseTo((p - 1) / (m + p - 1), 12);
  });

  it.each(cases)(
    '$name, p=$p, m=$m: makespan $early when gradients leave before W',
    ({ name, p, m, early }) => {
      const simulation = simulateSchedule(onOwnWorkers(name, p, m));
      expect(simulation.makespan).toBe(early);
      // The last W's of the workers below the last one fill what was bubble: (p−1)(F+B) is left.
      expect(simulation.makespan).toBe(3 * m + 2 * (p - 1));
    },
  );

  it.each(published)(
    'zero-bubble, p=$p, m=$m: makespan $delayed, a bubble of (p−1)(F+B−W)',
    ({ p, m, delayed }) => {
      const simulation = simulateSchedule(onOwnWorkers('zero-bubble', p, m));
      expect(simulation.makespan).toBe(delayed);
      expect(simulation.workers.map(worker => worker.idle)).toEqual(Array(p).fill(p - 1));
    },
  );

  it.each(published)(
    'live activations, p=$p, m=$m: m for GPipe, p−r for 1F1B, p for zero-bubble',
    ({ p, m }) => {
      const workers = Array.from({ length: p }, (_, worker) => worker);
      expect(simulateSchedule(onOwnWorkers('gpipe', p, m)).peakLiveOfWorker).toEqual(workers.map(() => m));
      expect(simulateSchedule(onOwnWorkers('1f1b', p, m)).peakLiveOfWorker).toEqual(workers.map(r => p - r));
      expect(simulateSchedule(onOwnWorkers('zero-bubble', p, m)).peakLiveOfWorker).toEqual(
        workers.map(() => p),
      );
    },
  );
});

describe('every size', () => {
  const sizes = [1, 2, 3, 5, 8].flatMap(stages => [1, 2, 3, 4, 7, 16].map(micro => [stages, micro] as const));

  it.each(FULL_BACKWARD)('%s is valid and keeps its makespan and peaks', name => {
    for (const [stageCount, microBatchCount] of sizes) {
      const schedule = onOwnWorkers(name, stageCount, microBatchCount);
      validateSchedule(schedule);
      const simulation = simulateSchedule(schedule, { cost: fullBackward(unitCost) });
      expect(simulation.makespan).toBe(3 * (microBatchCount + stageCount - 1));
      const peaks = schedule.workerOfStage.map(r =>
        name === '1f1b' ? Math.min(microBatchCount, stageCount - r) : microBatchCount,
      );
      expect(simulation.peakLiveOfStage).toEqual(peaks);
    }
  });

  it('zero-bubble is valid, never slower than 1f1b, and holds no more than p micro-batches', () => {
    for (const [stageCount, microBatchCount] of sizes) {
      const schedule = onOwnWorkers('zero-bubble', stageCount, microBatchCount);
      validateSchedule(schedule);
      const { makespan, peakLiveOfStage } = simulateSchedule(schedule);
      expect(makespan).toBeLessThanOrEqual(
        simulateSchedule(onOwnWorkers('1f1b', stageCount, microBatchCount)).makespan,
      );
      if (microBatchCount >= stageCount) expect(makespan).toBe(3 * microBatchCount + stageCount - 1);
      expect(peakLiveOfStage).toEqual(Array(stageCount).fill(Math.min(microBatchCount, stageCount)));
    }
  });

  it('holds for blocks of stages: a block of equal stages is one larger stage', () => {
    for (const name of FULL_BACKWARD) {
      for (const [stageCount, workers] of [
        [4, 2],
        [6, 3],
        [6, 2],
        [3, 1],
      ] as const) {
        const schedule = generateSchedule(name, {
          stageCount,
          microBatchCount: 5,
          workerOfStage: place(stageCount, workers),
        });
        validateSchedule(schedule);
        const { makespan, peakLiveOfStage } = simulateSchedule(schedule);
        const perBlock = stageCount / workers;
        // Inside a block B waits for the W's of the stages above, so only its last W overlaps the next block.
        expect(makespan).toBe(perBlock * 3 * (5 + workers - 1) - (workers - 1));
        const peaks = schedule.workerOfStage.map(r => (name === '1f1b' ? Math.min(5, workers - r) : 5));
        expect(peakLiveOfStage).toEqual(peaks);
      }
    }
  });

  it('zero-bubble takes a block of equal stages for one larger stage too', () => {
    for (const [stageCount, workers] of [
      [4, 2],
      [6, 3],
      [6, 2],
      [3, 1],
    ] as const) {
      const workerOfStage = place(stageCount, workers);
      const schedule = generateSchedule('zero-bubble', { stageCount, microBatchCount: 5, workerOfStage });
      validateSchedule(schedule);
      const { makespan } = simulateSchedule(schedule);
      expect(makespan).toBe((stageCount / workers) * (3 * 5 + workers - 1));
    }
  });

  it('is valid for any placement', () => {
    fc.assert(fc.property(plans, ({ schedule }) => validateSchedule(schedule)));
  });
});

describe('orders', () => {
  it('1f1b over blocks goes up through the block forwards and down backwards', () => {
    const schedule = generateSchedule('1f1b', {
      stageCount: 4,
      microBatchCount: 2,
      workerOfStage: [0, 0, 1, 1],
    });
    expect(formatPrograms(schedule.orders)).toBe(
      picture(`
        worker 0: 0F0 1F0 0F1 1F1 1B0 1W0 0B0 0W0 1B1 1W1 0B1 0W1
        worker 1: 2F0 3F0 3B0 3W0 2B0 2W0 2F1 3F1 3B1 3W1 2B1 2W1
      `),
    );
  });

  it('gpipe with fewer micro-batches than stages', () => {
    expect(drawSchedule(onOwnWorkers('gpipe', 4, 2))).toBe(
      picture(`
        worker 0  0F0 0F1 .   .   .   .   .   .   0B1 0W1 0B0 0W0
        worker 1  .   1F0 1F1 .   .   .   .   1B1 1W1 1B0 1W0
        worker 2  .   .   2F0 2F1 .   .   2B1 2W1 2B0 2W0
        worker 3  .   .   .   3F0 3F1 3B1 3W1 3B0 3W0
      `),
    );
  });

  it('stages that are scattered over workers serve the older micro-batch first', () => {
    const schedule = generateSchedule('gpipe', {
      stageCount: 4,
      microBatchCount: 3,
      workerOfStage: [0, 1, 0, 1],
    });
    expect(drawSchedule(schedule)).toBe(
      picture(`
        worker 0  0F0 0F1 2F0 0F2 2F1 2F2 .   .   2B2 2W2 2B1 2W1 2B0 2W0 0B2 0W2 0B1 0W1 0B0 0W0
        worker 1  .   1F0 1F1 3F0 1F2 3F1 3F2 3B2 3W2 3B1 3W1 3B0 3W0 1B2 1W2 1B1 1W1 1B0 1W0
      `),
    );
  });

  it('1f1b with one stage does each micro-batch to its end', () => {
    expect(formatPrograms(onOwnWorkers('1f1b', 1, 2).orders)).toBe('worker 0: 0F0 0B0 0W0 0F1 0B1 0W1');
  });
});

describe('parameters', () => {
  it('places stages in blocks, round robin or in Vs, and leaves no worker without one', () => {
    expect(place(5, 2)).toEqual([0, 0, 0, 1, 1]);
    expect(place(4, 4)).toEqual([0, 1, 2, 3]);
    expect(place(2, 8)).toEqual([0, 1]);
    expect(placeRoundRobin(5, 2)).toEqual([0, 1, 0, 1, 0]);
    expect(placeRoundRobin(2, 8)).toEqual([0, 1]);
    expect(placeInV(6, 3)).toEqual([0, 1, 2, 2, 1, 0]);
    expect(placeInV(7, 2)).toEqual([0, 1, 1, 0, 0, 1, 1]);
    expect(placeInV(3, 2)).toEqual([0, 1, 1]);
    expect(() => place(0, 1)).toThrow('stageCount must be a whole number of at least 1, got 0');
    expect(() => place(2, 1.5)).toThrow('workerCount must be a whole number of at least 1, got 1.5');
  });

  it('lists the known schedules when asked for an unknown one', () => {
    const params = { stageCount: 1, microBatchCount: 1, workerOfStage: [0] };
    expect(() => generateSchedule('pipedream', params)).toThrow(
      "unknown schedule 'pipedream'; known are gpipe, 1f1b, interleaved, zero-bubble, zb-v, greedy",
    );
  });

  it.each([
    [{ stageCount: 0, microBatchCount: 1, workerOfStage: [] }, 'stageCount must be'],
    [{ stageCount: 1, microBatchCount: 0.5, workerOfStage: [0] }, 'microBatchCount must be'],
    [{ stageCount: 2, microBatchCount: 1, workerOfStage: [0] }, 'each of the 2 stages, got 1'],
    [{ stageCount: 2, microBatchCount: 1, workerOfStage: [0, 2] }, 'none of [0, 2] is 1'],
  ])('refuses %j', (params, message) => {
    for (const name of SCHEDULE_NAMES) expect(() => generateSchedule(name, params)).toThrow(message);
    expect(() => forwardOnly(params)).toThrow(message);
  });
});
