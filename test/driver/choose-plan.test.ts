/** How many micro-batches a plan gets and where it cuts the model, from times that are given rather than measured. */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { cutPoints, readGraph } from '#internal/model/index.js';
import { choosePlan } from '#internal/scheduler/driver/choose-plan.js';
import { MeasuredCosts, type UnitCost } from '#internal/scheduler/driver/measure.js';
import { ModelMemory } from '#internal/scheduler/driver/memory.js';
import {
  actionCostOf,
  chainTopology,
  generateSchedule,
  lower,
  replicateSchedule,
  replicateTopology,
  scheduleKind,
  steadyPeriod,
} from '#internal/scheduler/plan/index.js';

beforeAll(() => tf.setBackend('cpu'));

const BATCH_SIZE = 64;

const unit = (ms: number, stepMs = 0): UnitCost => ({
  forwardMs: ms,
  backwardInputMs: ms,
  backwardWeightMs: ms,
  accumulateMs: 0,
  stepMs,
});

/** Four layers that each cost so much a call and a row. */
function costs(msPerCall: number, msPerRow: number): MeasuredCosts {
  const at = (rows: number) => ({
    rows,
    units: Array.from({ length: 4 }, () => unit(msPerCall + rows * msPerRow)),
  });
  return new MeasuredCosts(at(8), at(32));
}

const SCHEDULES = ['zero-bubble', 'zb-v', 'interleaved'] as const;

interface Shape {
  readonly replicas: number;
  readonly name: (typeof SCHEDULES)[number];
}

function choose(
  measured: MeasuredCosts,
  microBatchCounts = [1, 2, 3, 4, 6, 8],
  statedCuts?: number[],
  { replicas, name }: Shape = { replicas: 1, name: 'zero-bubble' },
) {
  const { place, stagesPerWorker } = scheduleKind(name);
  const stageCount = 2 * stagesPerWorker;
  const { layers } = tf;
  const model = tf.sequential({
    layers: [layers.dense({ units: 4, inputShape: [4] }), ...[1, 2, 3].map(() => layers.dense({ units: 4 }))],
  });
  const graph = readGraph(model);
  const units = graph.nodes.map(({ layer }) => {
    const { name } = graph.layers[layer]!;
    return { name, layerNames: [name], parameters: 20 };
  });
  return choosePlan({
    graph,
    problem: { units, allowedCuts: cutPoints(graph), partingCuts: new Set() },
    statedCuts,
    stageCount,
    replicas,
    batchSize: BATCH_SIZE,
    microBatchCounts,
    recomputeModes: ['never'],
    memory: new ModelMemory(graph, { className: 'SGD', config: {} }),
    memoryLimit: undefined,
    costs: measured,
    scheduleOf: microBatchCount =>
      generateSchedule(name, { stageCount, microBatchCount, workerOfStage: place(stageCount, 2) }),
  });
}

describe('measured costs', () => {
  it('lie on the line through the two sizes, and never fall with the rows', () => {
    const measured = new MeasuredCosts({ rows: 8, units: [unit(2, 5)] }, { rows: 32, units: [unit(5, 4)] });
    expect(measured.at(8)[0]).toEqual(unit(2, 5));
    expect(measured.at(16)[0]!.forwardMs).toBeCloseTo(3);
    expect(measured.at(64)[0]!.forwardMs).toBeCloseTo(9);
    expect(measured.at(1000)[0]!.stepMs).toBe(5);
    expect(new MeasuredCosts({ rows: 8, units: [unit(1)] }, { rows: 16, units: [unit(9)] }).at(1)[0]).toEqual(
      unit(0),
    );
  });

  it('are constant where both sizes are one', () => {
    const same = { rows: 1, units: [unit(3)] };
    expect(new MeasuredCosts(same, same).at(7)[0]).toEqual(unit(3));
  });
});

describe('the number of micro-batches', () => {
  it('is large where only rows cost something', () => {
    expect(choose(costs(0, 10)).microBatchCount).toBeGreaterThan(2);
  });

  it('is small where a call costs as much as all rows', () => {
    expect(choose(costs(640, 10)).microBatchCount).toBeLessThanOrEqual(2);
  });

  it('grows as calls become cheaper', () => {
    const counts = [1000, 300, 100, 30, 10, 0].map(msPerCall => choose(costs(msPerCall, 10)).microBatchCount);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts.at(-1)).toBeGreaterThan(counts[0]!);
  });

  it('is one of those that are allowed, at the cuts that were asked for', () => {
    const plan = choose(costs(0, 10), [3], [1]);
    expect(plan).toMatchObject({ microBatchCount: 3, cuts: [1] });
    // 22 rows of a micro-batch: F, B and W of one layer, and of three.
    expect(plan.stageMs[0]).toBeCloseTo(3 * 220);
    expect(plan.stageMs[1]).toBeCloseTo(9 * 220);
  });

  it('comes with a period that no worker can work off faster', () => {
    const { periodMs, stageMs, microBatchCount } = choose(costs(5, 10));
    expect(periodMs).toBeGreaterThanOrEqual(microBatchCount * Math.max(...stageMs) * 0.999 - 4 * 3 * 5);
    expect(periodMs).toBeLessThan(microBatchCount * (stageMs[0]! + stageMs[1]!));
  });
});

describe('the cuts', () => {
  const unitCost = fc
    .tuple(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 100 }))
    .map(([ms, stepMs]) => unit(ms, stepMs));
  const fourCosts = fc.array(unitCost, { minLength: 4, maxLength: 4 }).map(units => {
    const at = { rows: 8, units };
    return new MeasuredCosts(at, at);
  });

  it('are where no other place beside one makes steps faster by more than a hundredth', () => {
    fc.assert(
      fc.property(fourCosts, fc.integer({ min: 1, max: 8 }), (measured, count) => {
        const { cuts, periodMs } = choose(measured, [count]);
        for (const moved of [cuts[0]! - 1, cuts[0]! + 1].filter(cut => cut >= 1 && cut <= 3)) {
          expect(choose(measured, [count], [moved]).periodMs).toBeGreaterThanOrEqual(periodMs * 0.99);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('leave the first stage less to do where the other one waits for its step', () => {
    // One micro-batch: the second stage waits for all that the first one does between two steps.
    const at = { rows: 8, units: [unit(10, 5), unit(10, 5), unit(10, 5), unit(10, 5)] };
    const { cuts, periodMs } = choose(new MeasuredCosts(at, at), [1]);
    expect(cuts).toEqual([1]);
    expect(periodMs).toBeLessThan(choose(new MeasuredCosts(at, at), [1], [2]).periodMs);
  });
});

describe('replicas, of which two are simulated', () => {
  const layerCosts = fc.array(fc.tuple(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 30 })), {
    minLength: 4,
    maxLength: 4,
  });

  it('take as long as all of them', () => {
    fc.assert(
      fc.property(
        layerCosts,
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom(1, 2, 3, 5),
        fc.constantFrom(...SCHEDULES),
        (layerMs, replicas, count, name) => {
          const at = { rows: 8, units: layerMs.map(([ms, stepMs]) => unit(ms, stepMs)) };
          const plan = choose(new MeasuredCosts(at, at), [count], undefined, { replicas, name });
          const { schedule, costs: planCosts, periodMs } = plan;
          const all = Array.from({ length: replicas }, (_, replica) => replica);
          const topology = replicateTopology(
            chainTopology(schedule.stageCount),
            replicas,
            Array.from({ length: schedule.stageCount }, () => all),
          );
          const programs = lower(replicateSchedule(schedule, replicas), topology, { recompute: 'never' });
          expect(periodMs).toBeCloseTo(steadyPeriod(programs, actionCostOf(planCosts)).period, 6);
        },
      ),
    );
  });
});
