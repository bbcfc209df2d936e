import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  PartitionError,
  partitionByName,
  partitionByParameters,
  partitionByTime,
  partitionUniformly,
} from '#internal/scheduler/plan/partition/index.js';
import { placeInV } from '#internal/scheduler/plan/placement.js';
import { peakLive } from '#internal/scheduler/plan/simulation/live.js';
import { placed, thrownBy } from './support.js';

type Problem = Parameters<typeof partitionByTime>[0];
type Options = NonNullable<Parameters<typeof partitionByTime>[2]>;

function chain(sizes: readonly number[], overrides: Partial<Problem> = {}): Problem {
  const allowedCuts = sizes.slice(1).map((_, index) => index + 1);
  return {
    units: sizes.map((size, index) => ({
      name: `unit_${index}`,
      layerNames: [`layer_${index}`],
      parameters: size,
      forwardMs: size,
      backwardMs: 2 * size,
    })),
    allowedCuts,
    cutBytes: allowedCuts.map(() => 0),
    ...overrides,
  };
}

/** Every way to choose `count` of the cuts, in order. */
function* choices(cuts: readonly number[], count: number): Generator<number[]> {
  if (count === 0) yield [];
  for (let index = 0; index + count <= cuts.length && count > 0; index++) {
    for (const rest of choices(cuts.slice(index + 1), count - 1)) yield [cuts[index]!, ...rest];
  }
}

function stagesOf<Unit>(units: readonly Unit[], cuts: readonly number[]): Unit[][] {
  const bounds = [0, ...cuts, units.length];
  return cuts.concat(0).map((_, stage) => units.slice(bounds[stage], bounds[stage + 1]));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Written from the definition, stage by stage. */
function judge(
  problem: Problem,
  cuts: readonly number[],
  options: Options,
): { bottleneck: number; makespan: number; fits: boolean } {
  const {
    microBatchCount = 1,
    transport = { msPerMessage: 0, msPerByte: 0 },
    memoryLimitBytes = Infinity,
    workerOfStage = [0, ...cuts].map((_, stage) => stage),
    liveMicroBatches = (stage: number) => Math.min(microBatchCount, cuts.length + 1 - stage),
  } = options;
  const side = (cut: number | undefined): number =>
    cut === undefined
      ? 0
      : transport.msPerMessage + transport.msPerByte * problem.cutBytes[problem.allowedCuts.indexOf(cut)]!;
  const stages = stagesOf(problem.units, cuts);
  const times = stages.map(
    (units, stage) =>
      sum(units.map(unit => unit.forwardMs + unit.backwardMs)) + side(cuts[stage - 1]) + side(cuts[stage]),
  );
  const bytes = stages.map((units, stage) => {
    const live = liveMicroBatches(stage);
    return sum(units.map(unit => (unit.residentBytes ?? 0) + live * (unit.activationBytes ?? 0)));
  });
  const bottleneck = Math.max(...times);
  const fits = [...new Set(workerOfStage)].every(worker => {
    const held = sum(bytes.filter((_, stage) => workerOfStage[stage] === worker));
    return held <= (typeof memoryLimitBytes === 'number' ? memoryLimitBytes : memoryLimitBytes[worker]!);
  });
  return {
    bottleneck,
    makespan: sum(times) + (microBatchCount - 1) * bottleneck,
    fits,
  };
}

// Whole numbers, so that sums in any order are equal to the last bit.
const size = fc.nat({ max: 40 });
const problems = fc
  .array(
    fc.record({
      forwardMs: size,
      backwardMs: size,
      parameters: size,
      residentBytes: size,
      activationBytes: size,
    }),
    {
      minLength: 1,
      maxLength: 12,
    },
  )
  .chain(drawn =>
    fc.record({
      units: fc.constant(
        drawn.map((unit, index) => ({ ...unit, name: `u${index}`, layerNames: [`u${index}`] })),
      ),
      allowedCuts: fc.subarray(drawn.slice(1).map((_, index) => index + 1)),
      bytes: fc.array(size, { minLength: 12, maxLength: 12 }),
      pick: fc.nat(),
    }),
  )
  .map(({ units, allowedCuts, bytes, pick }) => ({
    problem: { units, allowedCuts, cutBytes: bytes.slice(0, allowedCuts.length) },
    stageCount: 1 + (pick % (allowedCuts.length + 1)),
  }));

describe('partition by measured time', () => {
  const transport = { msPerMessage: 3, msPerByte: 1 };

  it('has the least bottleneck of all partitions over the same cuts', () => {
    fc.assert(
      fc.property(problems, ({ problem, stageCount }) => {
        const found = partitionByTime(problem, stageCount, { transport });
        const all = [...choices(problem.allowedCuts, stageCount - 1)].map(cuts =>
          judge(problem, cuts, { transport }),
        );
        expect(found.bottleneckMs).toBe(Math.min(...all.map(({ bottleneck }) => bottleneck)));
        expect(judge(problem, found.cuts, { transport }).bottleneck).toBe(found.bottleneckMs);
        expect(Math.max(...found.stageMs)).toBe(found.bottleneckMs);
      }),
      { numRuns: 300 },
    );
  });

  it('has the least makespan of all partitions when asked for it', () => {
    fc.assert(
      fc.property(problems, fc.integer({ min: 1, max: 12 }), ({ problem, stageCount }, microBatchCount) => {
        const options = { transport, microBatchCount, objective: 'makespan' } as const;
        const found = partitionByTime(problem, stageCount, options);
        const all = [...choices(problem.allowedCuts, stageCount - 1)].map(cuts =>
          judge(problem, cuts, options),
        );
        expect(found.makespanMs).toBe(Math.min(...all.map(({ makespan }) => makespan)));
        expect(judge(problem, found.cuts, options).makespan).toBe(found.makespanMs);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps every stage within the memory limit, or says that it cannot', () => {
    const cases = fc.record({
      limit: fc.nat({ max: 400 }),
      microBatchCount: fc.integer({ min: 1, max: 5 }),
      makespan: fc.boolean(),
    });
    fc.assert(
      fc.property(problems, cases, ({ problem, stageCount }, { limit, microBatchCount, makespan }) => {
        const objective = makespan ? 'makespan' : 'bottleneck';
        const options = { transport, microBatchCount, memoryLimitBytes: limit, objective } as const;
        const all = [...choices(problem.allowedCuts, stageCount - 1)]
          .map(cuts => judge(problem, cuts, options))
          .filter(({ fits }) => fits);
        if (all.length === 0) {
          expect(() => partitionByTime(problem, stageCount, options)).toThrow(PartitionError);
          return;
        }
        const found = judge(problem, partitionByTime(problem, stageCount, options).cuts, options);
        expect(found.fits).toBe(true);
        expect(found[objective]).toBe(Math.min(...all.map(judged => judged[objective])));
      }),
      { numRuns: 300 },
    );
  });

  it('keeps what all stages of a worker hold together within its limit, or says that it cannot', () => {
    const cases = fc.record({
      name: fc.constantFrom('1f1b', 'gpipe', 'interleaved', 'zb-v', 'zero-bubble'),
      workers: fc.integer({ min: 1, max: 4 }),
      limits: fc.array(fc.nat({ max: 500 }), { minLength: 4, maxLength: 4 }),
      isShared: fc.boolean(),
      microBatchCount: fc.integer({ min: 1, max: 5 }),
      objective: fc.constantFrom('bottleneck' as const, 'makespan' as const),
    });
    let feasible = 0;
    let refused = 0;
    fc.assert(
      fc.property(problems, cases, ({ problem, stageCount }, drawn) => {
        const { name, workers, limits, isShared, microBatchCount, objective } = drawn;
        const schedule = placed(name, stageCount, workers, microBatchCount);
        const { workerOfStage } = schedule;
        const peaks = peakLive(schedule.orders).ofStage;
        const options = {
          transport,
          objective,
          microBatchCount,
          workerOfStage,
          liveMicroBatches: (stage: number) => peaks[stage]!,
          memoryLimitBytes: isShared ? limits[0]! : limits.slice(0, new Set(workerOfStage).size),
        };
        const all = [...choices(problem.allowedCuts, stageCount - 1)]
          .map(cuts => judge(problem, cuts, options))
          .filter(({ fits }) => fits);
        if (all.length === 0) {
          refused++;
          expect(() => partitionByTime(problem, stageCount, options)).toThrow(PartitionError);
          return;
        }
        feasible++;
        const found = judge(problem, partitionByTime(problem, stageCount, options).cuts, options);
        expect(found.fits).toBe(true);
        expect(found[objective]).toBe(Math.min(...all.map(judged => judged[objective])));
      }),
      { numRuns: 600 },
    );
    expect(Math.min(feasible, refused)).toBeGreaterThan(100);
  });

  it('gives up rather than search for ever where many workers are between their stages', () => {
    let state = 7;
    const random = (): number => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state / 2 ** 31;
    };
    const problem = chain(Array.from({ length: 120 }, random));
    const units = problem.units.map(unit => ({ ...unit, residentBytes: 100 * random() }));
    const total = sum(units.map(({ residentBytes }) => residentBytes));
    expect(() =>
      partitionByTime({ ...problem, units }, 16, {
        workerOfStage: placeInV(16, 8),
        memoryLimitBytes: (total / 8) * 1.02,
      }),
    ).toThrow(/too many ways to spread the layers.*Allow more memory, use one stage a worker/);
  });

  it('refuses limits and placements of another size', () => {
    const problem = chain([1, 1, 1]);
    expect(() => partitionByTime(problem, 2, { memoryLimitBytes: [9], workerOfStage: [0, 1] })).toThrow(
      'memoryLimitBytes must be a number, or one for each of the 2 workers, got 1',
    );
    expect(() => partitionByTime(problem, 2, { memoryLimitBytes: 9, workerOfStage: [0] })).toThrow(
      'workerOfStage must name a worker for each of the 2 stages, got 1',
    );
    const units = problem.units.map(unit => ({ ...unit, residentBytes: 10 }));
    expect(() =>
      partitionByTime({ ...problem, units }, 3, { memoryLimitBytes: 15, workerOfStage: [0, 1, 0] }),
    ).toThrow('no cut into 3 stages keeps every worker within its limit (15 bytes). Allow more memory');
  });

  it('prefers a cheap cut over a balanced one when few micro-batches pay for it', () => {
    const problem = chain([10, 10, 10, 10], { cutBytes: [1, 50, 2] });
    const options = { transport: { msPerMessage: 0, msPerByte: 1 }, objective: 'makespan' } as const;
    expect(partitionByTime(problem, 2, { ...options, microBatchCount: 1 }).cuts).toEqual([1]);
    expect(
      partitionByTime(chain([10, 10, 10, 10], { cutBytes: [1, 20, 2] }), 2, {
        ...options,
        microBatchCount: 8,
      }).cuts,
    ).toEqual([2]);
  });

  it('evens out the stages beside the bottleneck', () => {
    expect(partitionByTime(chain([9, 1, 1, 1, 1]), 3).cuts).toEqual([1, 3]);
  });

  it('says how much memory the best partition would need', () => {
    const problem = chain([1, 1, 1]);
    const units = problem.units.map(unit => ({ ...unit, residentBytes: 100, activationBytes: 10 }));
    expect(() =>
      partitionByTime({ ...problem, units }, 2, { memoryLimitBytes: 150, microBatchCount: 4 }),
    ).toThrow('no cut into 2 stages keeps every stage within 150 bytes; the best needs 220');
  });

  it('looks at few segments even for 1,000 units and 64 stages', () => {
    let state = 1;
    const random = (): number => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state / 2 ** 31;
    };
    const problem = chain(Array.from({ length: 1000 }, random));
    const large = { ...problem, cutBytes: problem.cutBytes.map(() => 1000 * random()) };
    const options = { transport: { msPerMessage: 0.1, msPerByte: 0.001 }, microBatchCount: 8 };
    const started = performance.now();
    const bottleneck = partitionByTime(large, 64, options);
    const between = performance.now();
    const makespan = partitionByTime(large, 64, { ...options, objective: 'makespan' });
    const ended = performance.now();
    console.log(
      `1,000 units × 64 stages: bottleneck ${(between - started).toFixed(0)} ms (${bottleneck.operationCount} segments), ` +
        `makespan ${(ended - between).toFixed(0)} ms (${makespan.operationCount} segments)`,
    );
    // All segments for all stages would be 64 × 1000² / 2 = 32 million per dynamic program.
    expect(bottleneck.operationCount).toBeLessThan(5_000_000);
    expect(makespan.operationCount).toBeLessThan(60_000_000);
    expect(makespan.makespanMs).toBeLessThanOrEqual(bottleneck.makespanMs);
    expect(makespan.bottleneckMs).toBeGreaterThanOrEqual(bottleneck.bottleneckMs);
  });

  it('refuses measures that are none', () => {
    const problem = chain([1, 2]);
    expect(() => partitionByTime({ ...problem, cutBytes: [] }, 2)).toThrow(
      'cutBytes must have an entry per allowed cut: 1, got 0',
    );
    const units = [problem.units[0]!, { ...problem.units[1]!, backwardMs: Number.NaN }];
    expect(() => partitionByTime({ ...problem, units }, 2)).toThrow(
      "backwardMs of 'unit_1' must be a number of at least 0, got NaN",
    );
  });
});

describe('partition by counts', () => {
  it('uniform counts layers, not units', () => {
    const { units, allowedCuts } = chain([1, 1, 1, 1]);
    const uneven = units.map((unit, index) =>
      index === 0 ? { ...unit, layerNames: ['a', 'b', 'c'] } : unit,
    );
    expect(partitionUniformly({ units, allowedCuts }, 2)).toEqual([2]);
    expect(partitionUniformly({ units: uneven, allowedCuts }, 2)).toEqual([1]);
  });

  it('uniform spreads what does not divide', () => {
    const problem = chain(Array(10).fill(1));
    const lengths = stagesOf(problem.units, partitionUniformly(problem, 4)).map(stage => stage.length);
    expect(lengths.toSorted()).toEqual([2, 2, 3, 3]);
  });

  it('parameters balances weights exactly where greedy filling does not', () => {
    expect(partitionByParameters(chain([4, 4, 4, 6, 6]), 3)).toEqual([2, 4]);
    expect(partitionByParameters(chain([0, 0, 100, 0]), 2)).toHaveLength(1);
  });

  it('is the least bottleneck of all partitions, and as even as that allows', () => {
    fc.assert(
      fc.property(problems, ({ problem, stageCount }) => {
        const weigh = (cuts: readonly number[]): { most: number; squares: number } => {
          const weights = stagesOf(problem.units, cuts).map(stage => sum(stage.map(unit => unit.parameters)));
          return { most: Math.max(...weights), squares: sum(weights.map(weight => weight ** 2)) };
        };
        const all = [...choices(problem.allowedCuts, stageCount - 1)].map(weigh);
        const most = Math.min(...all.map(each => each.most));
        const squares = Math.min(...all.filter(each => each.most === most).map(each => each.squares));
        expect(weigh(partitionByParameters(problem, stageCount))).toEqual({ most, squares });
      }),
    );
  });

  it('takes one stage for no cut', () => {
    expect(partitionUniformly(chain([1]), 1)).toEqual([]);
    expect(partitionByTime(chain([1, 2]), 1)).toMatchObject({ cuts: [], stageMs: [9] });
  });

  it('names the most stages there can be and where to cut', () => {
    const problem = chain([1, 1, 1, 1, 1], { allowedCuts: [2, 4], cutBytes: [0, 0] });
    for (const partition of [partitionUniformly, partitionByParameters, partitionByTime]) {
      const error = thrownBy(() => partition(problem, 4));
      expect(error).toBeInstanceOf(PartitionError);
      expect(error).toMatchObject({
        code: 'MILLRACE_PARTITION',
        message:
          "cannot make 4 stages: this model has at most 3, because it can be cut before 'layer_2', 'layer_4'",
      });
    }
    expect(() => partitionUniformly(chain([1]), 2)).toThrow('at most 1, because it can be cut nowhere');
    expect(() => partitionUniformly(chain(Array(40).fill(1)), 50)).toThrow("'layer_12' and 27 more");
    expect(() => partitionUniformly(problem, 1.5)).toThrow(
      'the number of stages must be a whole number of at least 1, got 1.5',
    );
    expect(() => partitionUniformly({ ...problem, allowedCuts: [4, 2] }, 2)).toThrow(
      'allowedCuts must be ascending',
    );
    expect(() => partitionUniformly({ ...problem, allowedCuts: [0] }, 1)).toThrow(
      'allowedCuts must be ascending',
    );
  });
});

describe('partition by names', () => {
  const problem = {
    ...chain([1, 1, 1, 1, 1], { allowedCuts: [1, 4], cutBytes: [0, 0] }),
    closedCuts: new Map([[2, "it would part two calls of layer 'shared'"]]),
  };
  const grouped = {
    ...problem,
    units: problem.units.map((unit, index) =>
      index === 1 ? { ...unit, layerNames: ['layer_1', 'inner'] } : unit,
    ),
  };

  it('cuts before the layers that are named', () => {
    expect(partitionByName(problem, ['layer_1', 'layer_4'])).toEqual([1, 4]);
    expect(partitionByName(problem, [])).toEqual([]);
  });

  it.each([
    [['layer_l'], "the model has no layer 'layer_l'; did you mean 'layer_0', 'layer_1', 'layer_2'?"],
    [['Layer_4x'], "the model has no layer 'Layer_4x'; did you mean 'layer_4'"],
    [
      ['zzz'],
      "the model has no layer 'zzz'; its layers are 'layer_0', 'layer_1', 'layer_2', 'layer_3', 'layer_4'",
    ],
    [
      ['layer_0'],
      "no stage can begin at layer 'layer_0': it begins the model, and so stage 0. The nearest layers that can begin a stage: 'layer_1'",
    ],
    [
      ['layer_2'],
      "it would part two calls of layer 'shared'. The nearest layers that can begin a stage: 'layer_1', 'layer_4'",
    ],
    [['layer_3'], "no stage can begin at layer 'layer_3': the model cannot be cut before it"],
    [
      ['layer_4', 'layer_1'],
      "'layer_1' cannot begin a stage behind 'layer_4': the names must be different and in the order",
    ],
    [['layer_1', 'layer_1'], "'layer_1' cannot begin a stage behind 'layer_1'"],
  ])('refuses %j', (names, message) => {
    const error = thrownBy(() => partitionByName(problem, names));
    expect(error).toBeInstanceOf(PartitionError);
    expect((error as Error).message).toContain(message);
  });

  it('refuses a layer inside a unit', () => {
    expect(() => partitionByName(grouped, ['inner'])).toThrow(
      "it lies inside 'unit_1', whose layers 'layer_1', 'inner' stay together. The nearest layers that can begin a stage: 'layer_4'",
    );
  });
});
