/** How the tuner chooses, with a trainer of set step times and a clock of its own. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Tuner } from '#internal/scheduler/driver/auto/tuner.js';
import type { ModelPlan } from '#internal/scheduler/driver/model-plan.js';

const ROWS = 8;
const ADOPTION_MS = 50;
const MEASURING_MS = 2_000;

/** As far as the tuner looks at one. */
function planOf(replicas: number, stageCount: number): ModelPlan {
  return {
    cut: { cuts: Array.from({ length: stageCount - 1 }, (_, cut) => cut + 1), stages: Array(stageCount) },
    replicas,
    schedule: { name: 'zero-bubble', microBatchCount: 1, workerOfStage: [] },
  } as unknown as ModelPlan;
}

interface World {
  readonly workers: number;
  /** True time of a step. */
  readonly stepMs: (plan: ModelPlan) => number;
  /** Fewer have no room in memory. */
  readonly fewestReplicas?: number;
  readonly stagePlans?: readonly (readonly [replicas: number, stages: number, predictedMs: number])[];
}

class Training {
  readonly adopted: ModelPlan[] = [];
  readonly tuner: Tuner;
  plan: ModelPlan;
  measured = 0;
  nowMs = 0;
  rows = ROWS;
  /** Called when the layers have been measured. */
  onMeasured: () => void = () => {};
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.plan = planOf(world.workers, 1);
    this.tuner = new Tuner({
      trainer: this.#trainer(),
      replicaPlan: replicas => (replicas < (world.fewestReplicas ?? 1) ? undefined : planOf(replicas, 1)),
      stagePlans: async () => {
        this.measured += 1;
        this.nowMs += MEASURING_MS;
        this.onMeasured();
        return (world.stagePlans ?? []).map(([replicas, stages, predictedMs]) => ({
          plan: planOf(replicas, stages),
          predictedMs,
        }));
      },
      now: () => this.nowMs,
    });
  }

  #trainer() {
    const training = this;
    return {
      get plan() {
        return training.plan;
      },
      adoptionMs: ADOPTION_MS,
      async adopt(plan: ModelPlan) {
        training.adopted.push(plan);
        training.plan = plan;
        training.nowMs += ADOPTION_MS;
      },
    };
  }

  /** One epoch of so many steps. */
  async train(steps: number, stepsKnown = true): Promise<void> {
    this.tuner.begin();
    for (let left = steps; left > 0; ) {
      const trial = await this.tuner.next(this.rows, stepsKnown ? left : undefined);
      do {
        this.nowMs += this.#world.stepMs(this.plan);
        if (trial !== undefined) this.tuner.observe(trial, this.rows);
        left -= 1;
      } while (left > 0 && trial?.isComplete !== true);
    }
  }
}

const times = fc.double({ min: 0.2, max: 400, noNaN: true });

it('halves the replicas while that is faster, and ends with the best of what it tried', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(1, 2, 4, 8, 16),
      fc.array(times, { minLength: 5, maxLength: 5 }),
      async (workers, ms) => {
        const stepMs = ({ replicas }: ModelPlan): number => ms[Math.log2(replicas)]!;
        const training = new Training({ workers, stepMs });
        await training.train(100_000);
        const tried = training.tuner.tried.map(({ plan }) => plan.replicas);
        const best = Math.min(...tried.map(replicas => ms[Math.log2(replicas)]!));
        expect(stepMs(training.plan)).toBeLessThanOrEqual(best * 1.04);
        // Every halving but the last was worth it.
        tried.slice(1, -1).forEach((replicas, index) => {
          expect(ms[Math.log2(replicas)]!).toBeLessThan(ms[Math.log2(tried[index]!)]!);
        });
        expect(new Set(tried).size).toBe(tried.length);
        // The two fastest may be timed in turns: to and fro, and to the faster one.
        expect(training.adopted.length).toBeLessThanOrEqual(tried.length + 3);
      },
    ),
  );
});

it('does not count what is slow only while everything is new', async () => {
  // In its first second, two workers take three times as long as they will.
  const training: Training = new Training({
    workers: 2,
    stepMs: ({ replicas }) => (replicas === 1 ? 16 : training.nowMs < 1_000 ? 30 : 10),
  });
  await training.train(2_000);
  expect(training.tuner.tried.map(({ measuredMs }) => measuredMs)).toEqual([10, 16]);
  expect(training.plan.replicas).toBe(2);
});

it('lets no moment of disturbance decide about long training', async () => {
  // Something else takes the machine for a third of a second, just when two replicas are timed.
  const training: Training = new Training({
    workers: 2,
    stepMs: ({ replicas }) => {
      const isDisturbed = training.nowMs > 1_020 && training.nowMs < 1_350;
      return replicas === 1 ? 16 : isDisturbed ? 30 : 10;
    },
  });
  await training.train(10_000);
  expect(training.tuner.tried.map(({ measuredMs }) => measuredMs)).toEqual([10, 16]);
  expect(training.plan.replicas).toBe(2);
});

it('times plans for no longer than they are worth in short training', async () => {
  const training = new Training({ workers: 2, stepMs: ({ replicas }) => (replicas === 1 ? 16 : 10) });
  await training.train(300);
  // A second for what is new, a fifth for either plan and 0.1 before the second one.
  expect(training.adopted.map(({ replicas }) => replicas)).toEqual([1, 2]);
  expect(training.nowMs).toBeLessThan(300 * 10 + 35 * 6 + 2 * ADOPTION_MS);
});

it('times the two fastest in turns where they are close', async () => {
  // What runs gets faster for three seconds, whatever the plan.
  const training: Training = new Training({
    workers: 1,
    stepMs: ({ cut }) => (cut.stages.length === 1 ? 100 : 104) * (training.nowMs < 3_000 ? 1.15 : 1),
    stagePlans: [
      [1, 1, 100],
      [1, 2, 100],
    ],
  });
  await training.train(1_000);
  // Two stages were timed when they were tried: one, once more one, two; and one has won twice.
  expect(training.adopted.map(({ cut }) => cut.stages.length)).toEqual([2, 1, 2, 1]);
  expect(training.tuner.tried.map(({ measuredMs }) => Math.round(measuredMs!))).toEqual([100, 104]);
  expect([training.tuner.isDecided, training.plan.cut.stages.length]).toEqual([true, 1]);
});

it('times replicas in turns too, where no plan with stages promises anything', async () => {
  const training: Training = new Training({
    workers: 2,
    stepMs: ({ replicas }) => (replicas === 1 ? 104 : 100) * (training.nowMs < 3_000 ? 1.15 : 1),
    stagePlans: [
      [2, 1, 100],
      [1, 1, 104],
      [1, 2, 300],
    ],
  });
  await training.train(1_000);
  expect(training.adopted.map(({ replicas }) => replicas)).toEqual([1, 2, 1, 2]);
  expect([training.tuner.isDecided, training.plan.replicas]).toEqual([true, 2]);
});

it('finds the faster one of two where the machine changes its speed while they are timed in turns', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.double({ min: 1.06, max: 1.15, noNaN: true }),
      fc.boolean(),
      fc.integer({ min: 5_300, max: 9_000 }),
      fc.double({ min: 0.7, max: 1.3, noNaN: true }),
      async (handicap, hasSlowStages, changesAtMs, change) => {
        const training: Training = new Training({
          workers: 1,
          stepMs: ({ cut }) =>
            20 *
            (cut.stages.length > 1 === hasSlowStages ? handicap : 1) *
            (training.nowMs < changesAtMs ? 1 : change),
          stagePlans: [
            [1, 1, 20],
            [1, 2, 20],
          ],
        });
        await training.train(10_000);
        expect(training.plan.cut.stages.length > 1).toBe(!hasSlowStages);
      },
    ),
  );
});

const TWO_CLOSE: World = {
  workers: 1,
  stepMs: ({ cut }) => (cut.stages.length === 1 ? 100 : 104),
  stagePlans: [
    [1, 1, 100],
    [1, 2, 100],
  ],
};

it('finds the faster one of two however training is cut into stretches', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.boolean()), { minLength: 1, maxLength: 20 }),
      async (hasSlowStages, stretches) => {
        const training = new Training({
          ...TWO_CLOSE,
          stepMs: ({ cut }) => (cut.stages.length > 1 === hasSlowStages ? 104 : 100),
        });
        for (const [steps, isCancelled] of stretches) {
          await training.train(steps);
          if (isCancelled) training.tuner.cancel();
        }
        await training.train(2_000);
        expect(training.tuner.isDecided).toBe(true);
        expect(training.plan.cut.stages.length > 1).toBe(!hasSlowStages);
      },
    ),
  );
});

it('times the same two anew where mini-batches get another size', async () => {
  const training = new Training({ ...TWO_CLOSE, stepMs: ({ cut }) => (cut.stages.length === 1 ? 104 : 100) });
  // Two stages are tried, and one comes back to be timed again.
  while (training.adopted.length < 2) await training.train(3);
  expect(training.tuner.isDecided).toBe(false);
  training.rows = ROWS / 2;
  await training.train(1_000);
  expect([training.tuner.isDecided, training.plan.cut.stages.length]).toEqual([true, 2]);
  expect(training.tuner.tried.map(({ measuredMs }) => measuredMs)).toEqual([104, 100]);
});

it('settles nothing in a stretch that was cancelled, and puts the best in place in the next', async () => {
  const training = new Training({ workers: 2, stepMs: ({ replicas }) => 200 / replicas });
  // While the layers are measured; one replica is in place.
  training.onMeasured = () => training.tuner.cancel();
  await training.train(300);
  expect([training.measured, training.plan.replicas, training.tuner.isDecided]).toEqual([1, 1, false]);
  await training.train(1_000);
  expect([training.measured, training.plan.replicas, training.tuner.isDecided]).toEqual([1, 2, true]);
});

it('measures layers only where much is left, tries what is predicted to be fast, and settles', async () => {
  const stepMs = ({ cut }: ModelPlan): number => (cut.stages.length === 1 ? 100 : 60);
  const stagePlans = [
    [1, 2, 70],
    [2, 1, 90],
    [1, 3, 98],
    [1, 4, 400],
  ] as const;
  const short = new Training({ workers: 2, stepMs, stagePlans });
  await short.train(150);
  expect([short.measured, short.tuner.isDecided]).toEqual([0, false]);
  const long = new Training({ workers: 2, stepMs, stagePlans });
  await long.train(1_000);
  expect([long.measured, long.tuner.isDecided]).toEqual([1, true]);
  expect(long.plan.cut.stages).toHaveLength(2);
  // Four stages are predicted to be slow: they are listed, not tried.
  const untried = long.tuner.tried.filter(({ measuredMs }) => measuredMs === undefined);
  expect(untried.map(({ plan }) => plan.cut.stages.length)).toEqual([4]);
  expect(await long.tuner.next(ROWS, 1_000)).toBeUndefined();
});

it('tries only numbers of micro-batches where all else is asked for, and at once', async () => {
  const given = (microBatchCount: number): ModelPlan => {
    const plan = planOf(1, 2);
    return { ...plan, schedule: { ...plan.schedule, microBatchCount } };
  };
  const predicted = [
    [2, 70],
    [3, 72],
    [1, 74],
    [4, 90],
  ] as const;
  const trueMs: Readonly<Record<number, number>> = { 1: 60, 2: 80, 3: 78, 4: 10 };
  const trainer = {
    plan: given(2),
    adoptionMs: ADOPTION_MS,
    async adopt(plan: ModelPlan) {
      trainer.plan = plan;
    },
  };
  let nowMs = 0;
  const tuner = new Tuner({
    trainer,
    replicaPlan: () => undefined,
    worthPredictingMs: 0,
    stagePlans: async () => predicted.map(([count, predictedMs]) => ({ plan: given(count), predictedMs })),
    now: () => nowMs,
  });
  tuner.begin();
  for (let left = 60; left > 0; ) {
    const trial = await tuner.next(ROWS, left);
    do {
      nowMs += trueMs[trainer.plan.schedule.microBatchCount]!;
      if (trial !== undefined) tuner.observe(trial, ROWS);
      left -= 1;
    } while (left > 0 && trial?.isComplete !== true);
  }
  expect(tuner.isDecided).toBe(true);
  expect(trainer.plan.schedule.microBatchCount).toBe(1);
  // Four are predicted to be a quarter slower: they are listed, not tried.
  const measured = tuner.tried.filter(({ measuredMs }) => measuredMs !== undefined);
  expect(measured.map(({ plan }) => plan.schedule.microBatchCount)).toEqual([2, 3, 1]);
  expect(tuner.tried).toHaveLength(4);
});

it('finds the plan of many short fits as it finds that of a long one', async () => {
  const stepMs = ({ replicas }: ModelPlan): number => 10 * replicas;
  const training = new Training({ workers: 2, stepMs });
  for (let fit = 1; fit <= 12; fit++) {
    await training.train(8);
    training.tuner.cancel();
    // What happens between fits is no training.
    training.nowMs += 10_000;
    if (fit === 2) expect(training.plan.replicas, 'too little in all').toBe(2);
  }
  expect(training.plan.replicas).toBe(1);
});

it('changes nothing for a short fit, and goes on in the next one', async () => {
  const stepMs = ({ replicas }: ModelPlan): number => 10 * replicas;
  const training = new Training({ workers: 4, stepMs });
  await training.train(12);
  expect(training.adopted).toEqual([]);
  await training.train(2_000);
  expect(training.plan.replicas).toBe(1);
});

it('takes training of unknown length to be half done', async () => {
  const stepMs = ({ replicas }: ModelPlan): number => 10 * replicas;
  const training = new Training({ workers: 2, stepMs });
  await training.train(20, false);
  expect(training.adopted).toEqual([]);
  for (let epoch = 0; epoch < 10; epoch++) await training.train(20, false);
  expect(training.plan.replicas).toBe(1);
});

it('begins anew where mini-batches get another size, and takes an epoch by its first one', async () => {
  const training = new Training({ workers: 2, stepMs: () => 50 });
  await training.train(400);
  expect(training.tuner.tried.some(({ measuredMs }) => measuredMs !== undefined)).toBe(true);
  training.tuner.begin();
  await training.tuner.next(ROWS / 2, 1_000);
  expect(training.tuner.tried.some(({ measuredMs }) => measuredMs !== undefined)).toBe(false);
});

it('goes on without stages where layers cannot be measured, and says why', async () => {
  const training = new Training({ workers: 1, stepMs: () => 100 });
  const failing = new Tuner({
    trainer: { plan: training.plan, adoptionMs: 1, adopt: async () => {} },
    replicaPlan: () => undefined,
    stagePlans: async () => {
      throw new Error('no such input');
    },
    now: () => training.nowMs,
  });
  const warnings: unknown[] = [];
  failing.begin();
  for (let call = 0; call < 2; call++) {
    const trial = await failing.next(ROWS, 1_000, error => warnings.push(error));
    while (trial?.isComplete === false) {
      training.nowMs += 100;
      failing.observe(trial, ROWS);
    }
  }
  expect(String(warnings)).toBe('Error: no such input');
  expect(failing.isDecided).toBe(true);
});

it('puts nothing in place once nobody waits for the training', async () => {
  const training = new Training({ workers: 2, stepMs: () => 50 });
  const trial = (await training.tuner.next(ROWS, 10_000))!;
  while (!trial.isComplete) {
    training.nowMs += 50;
    training.tuner.observe(trial, ROWS);
  }
  const next = training.tuner.next(ROWS, 10_000);
  training.tuner.cancel();
  await training.tuner.settled;
  await next;
  expect(training.adopted).toEqual([]);
});

it('counts no mini-batch of another size', async () => {
  const training = new Training({ workers: 2, stepMs: () => 50 });
  const trial = (await training.tuner.next(ROWS, 1_000))!;
  for (let step = 0; step < 100; step++) {
    training.nowMs += 50;
    training.tuner.observe(trial, ROWS - 1);
  }
  expect(trial.isComplete).toBe(false);
});

it('settles on the best prediction where that is all it is asked for', async () => {
  const stagePlans = [
    [1, 2, 70],
    [2, 1, 90],
  ] as const;
  const training = new Training({ workers: 2, stepMs: () => 1, stagePlans });
  await training.tuner.decideByPrediction();
  expect(training.tuner.isDecided).toBe(true);
  expect(training.plan.cut.stages).toHaveLength(2);
  expect(training.tuner.tried.map(({ predictedMs }) => predictedMs)).toEqual([70, 90]);
  expect(await training.tuner.next(ROWS, 1_000)).toBeUndefined();
});

it('leaves out numbers of replicas that have no room', async () => {
  const stepMs = ({ replicas }: ModelPlan): number => 10 * replicas;
  const training = new Training({ workers: 8, stepMs, fewestReplicas: 4 });
  await training.train(100_000);
  expect(training.plan.replicas).toBe(4);
  expect(training.tuner.tried.map(({ plan }) => plan.replicas)).toEqual([8, 4]);
});
