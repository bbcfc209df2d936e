/** What plans are estimated to hold in memory, and which are made under a limit. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ConfigurationError } from '#internal/errors.js';
import { readGraph } from '#internal/model/index.js';
import { type PipelineOptions, parseOptions } from '#internal/options.js';
import type { CompileSpec } from '#internal/protocol/stage-spec.js';
import { ModelMemory, slotCountOf } from '#internal/scheduler/driver/memory.js';
import { countStages, planModel } from '#internal/scheduler/driver/plan-model.js';
import type { WorkerPool } from '#internal/scheduler/driver/worker-pool.js';
import { generateSchedule, peakTapes, place } from '#internal/scheduler/plan/index.js';

beforeAll(() => tf.setBackend('cpu'));

const ADAM = { className: 'Adam', config: {} };

const compileFor = (model: tf.LayersModel): CompileSpec => ({
  optimizer: ADAM,
  losses: model.outputs.map(() => 'meanSquaredError'),
  lossWeights: model.outputs.map(() => 1),
  metrics: model.outputs.map(() => []),
  outputs: model.outputs.map(({ name, shape }) => ({ name, shape })),
});

const WIDTH = 32;
/** Of one layer: weights and biases. */
const LAYER_BYTES = 4 * (WIDTH * WIDTH + WIDTH);
/** With gradients and Adam's two slots. */
const RESIDENT = 4 * LAYER_BYTES;
const SAMPLE = 4 * WIDTH;

function chain(layerCount: number, frozen: readonly number[] = []): tf.LayersModel {
  const model = tf.sequential({
    layers: Array.from({ length: layerCount }, (_, index) =>
      tf.layers.dense({
        units: WIDTH,
        name: `layer${index}`,
        trainable: !frozen.includes(index),
        ...(index === 0 ? { inputShape: [WIDTH] } : {}),
      }),
    ),
  });
  model.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
  return model;
}

const scheduleOf = (name: string, stageCount: number, microBatchCount: number) =>
  generateSchedule(name, { stageCount, microBatchCount, workerOfStage: place(stageCount, stageCount) });

/** As `pipeline()` plans it, with a pool in which every layer takes the same time. */
async function planOf(
  model: tf.LayersModel,
  options: PipelineOptions,
  { state = { measured: 0 } }: { readonly state?: { measured: number } } = {},
) {
  const graph = readGraph(model);
  const resolved = parseOptions(options);
  const { workerCount, ...counts } = countStages(graph, resolved, 2);
  const unit = {
    forwardMs: 1,
    backwardInputMs: 1,
    backwardWeightMs: 1,
    accumulateMs: 0,
    stepMs: 0,
    outputBytes: 0,
  };
  const pool = {
    workerCount,
    infos: [{}],
    all: async () => {
      state.measured += 1;
      return [graph.nodes.map(() => unit)];
    },
  } as unknown as WorkerPool;
  const coupling = { mixing: undefined, unrepeatable: undefined, moving: undefined, scalarLosses: [] };
  const plan = await planModel(
    { graph, options: resolved, ...counts, compile: compileFor(model), coupling },
    pool,
  );
  return { plan, measured: state.measured > 0 };
}

async function leastNeed(model: tf.LayersModel, options: PipelineOptions): Promise<number> {
  const state = { measured: 0 };
  const error = await planOf(model, { ...options, memoryLimit: 1 }, { state }).catch(
    (thrown: unknown) => thrown,
  );
  // Nobody waits for seconds to be refused.
  expect(state.measured).toBe(0);
  expect(error).toBeInstanceOf(ConfigurationError);
  expect(error).toMatchObject({ path: 'memoryLimit' });
  return Number(/found to need is (\d+)/.exec((error as Error).message)![1]);
}

describe('the estimate', () => {
  const bytes = (model: tf.LayersModel, cuts: number[], replicas = 1, optimizer = ADAM) =>
    new ModelMemory(readGraph(model), optimizer).workerBytes(cuts, {
      replicas,
      batchSize: 8 * replicas,
      schedule: scheduleOf('1f1b', cuts.length + 1, 4),
      recompute: 'never',
    });

  it('counts weights, gradients, slots, and activations of as many micro-batches as are live', () => {
    // Two rows a micro-batch; 1F1B keeps two of them live in the first of two stages.
    expect(bytes(chain(3), [2])).toEqual([2 * RESIDENT + 2 * 2 * 3 * SAMPLE, RESIDENT + 2 * 2 * SAMPLE]);
  });

  it('counts nothing but the weights of frozen layers', () => {
    expect(bytes(chain(2, [0]), [1])[0]).toBe(LAYER_BYTES + 2 * 2 * 2 * SAMPLE);
  });

  it('shares slots out among replicas, whose parts are at least as large as the largest weight', () => {
    const activations = 2 * 5 * SAMPLE;
    const expected = 2 * 4 * LAYER_BYTES + (2 * 4 * LAYER_BYTES) / 2 + activations;
    expect(bytes(chain(4), [], 2)).toEqual([expected, expected]);
    expect(bytes(chain(1), [], 2)[0]).toBe(2 * LAYER_BYTES + 2 * 4 * WIDTH * WIDTH + 2 * 2 * SAMPLE);
  });

  it('shares out the slots of a weight that replicas divide', () => {
    const width = 300;
    const model = tf.sequential({ layers: [tf.layers.dense({ units: width, inputShape: [width] })] });
    model.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
    const weights = 4 * (width * width + width);
    const activations = 2 * 2 * 4 * width;
    expect(bytes(model, [], 2)[0]).toBe(2 * weights + (2 * weights) / 2 + activations);
    const input = tf.input({ shape: [width] });
    const layer = tf.layers.dense({ units: width });
    const twice = tf.model({
      inputs: input,
      outputs: layer.apply(layer.apply(input)) as tf.SymbolicTensor,
    });
    twice.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
    // Two copies, where the calls come into two stages: neither is divided.
    expect(bytes(twice, [], 2)[0]).toBe(2 * weights + 2 * 4 * width * width + 2 * 3 * 4 * width);
    twice.dispose();
    class Own extends tf.AdamOptimizer {}
    model.compile({ optimizer: new Own(0.1, 0.9, 0.999), loss: 'meanSquaredError' });
    expect(bytes(model, [], 2)[0]).toBe(2 * weights + 2 * 4 * width * width + activations);
    model.dispose();
  });

  it('knows the slots of every optimizer of tfjs', async () => {
    const made = [
      tf.train.sgd(1),
      tf.train.momentum(1, 0.9),
      tf.train.adagrad(1),
      tf.train.adadelta(1),
      tf.train.rmsprop(1),
      tf.train.rmsprop(1, 0.9, 0, 1e-7, true),
      tf.train.adam(1),
    ];
    for (const optimizer of made) {
      const weight = tf.variable(tf.ones([3]));
      optimizer.minimize(() => weight.square().sum() as tf.Scalar, false, [weight]);
      const config = optimizer.getConfig() as Record<string, number | boolean>;
      const slots = (await optimizer.getWeights()).length - 1;
      expect(slotCountOf({ className: optimizer.getClassName(), config }), optimizer.getClassName()).toBe(
        slots,
      );
      weight.dispose();
    }
  });

  it('keeps one tape a stage with recomputation, and more only where weight gradients wait', () => {
    expect(peakTapes(scheduleOf('gpipe', 3, 6).orders, 'never')).toEqual([6, 6, 6]);
    expect(peakTapes(scheduleOf('gpipe', 3, 6).orders, 'except-last')).toEqual([1, 1, 1]);
    expect(peakTapes(scheduleOf('gpipe', 3, 6).orders, 'always')).toEqual([1, 1, 1]);
    expect(Math.max(...peakTapes(scheduleOf('zero-bubble', 3, 6).orders, 'always'))).toBeGreaterThan(1);
  });
});

describe('a plan under a memory limit', () => {
  const PIPELINE = { stages: 2, microBatches: 4, batchSize: 32 } as const;

  it('is cut where it fits, though not where it would be fastest', async () => {
    // The first stage keeps twice the activations, so that a cut in the middle is not the one that needs least.
    const options = { ...PIPELINE, batchSize: 3200, schedule: '1f1b', recompute: 'never' } as const;
    const free = await planOf(chain(8), options);
    const least = await leastNeed(chain(8), options);
    const { plan } = await planOf(chain(8), { ...options, memoryLimit: least });
    expect(Math.max(...free.plan.workerBytes)).toBeGreaterThan(least);
    expect(Math.max(...plan.workerBytes)).toBe(least);
    expect(plan.cut.cuts).not.toEqual(free.plan.cut.cuts);
    await expect(planOf(chain(8), { ...options, memoryLimit: least - 1 })).rejects.toThrow(`${least}`);
  });

  it('recomputes only where it must', async () => {
    const options = { ...PIPELINE, batchSize: 3200, schedule: 'gpipe' } as const;
    const never = await leastNeed(chain(8), { ...options, recompute: 'never' });
    const auto = await leastNeed(chain(8), options);
    expect(auto).toBeLessThan(never);
    expect((await planOf(chain(8), options)).plan.recompute).toBe('never');
    expect((await planOf(chain(8), { ...options, memoryLimit: never })).plan.recompute).toBe('never');
    const tight = await planOf(chain(8), { ...options, memoryLimit: never - 1 });
    expect(tight.plan.recompute).toBe('except-last');
    expect(Math.max(...tight.plan.workerBytes)).toBeLessThan(never);
  });

  it('takes more micro-batches where a few are too large', async () => {
    const options = { stages: 2, batchSize: 3200, recompute: 'never' } as const;
    const free = await planOf(chain(8), { ...options, microBatches: 2 });
    const limit = Math.max(...free.plan.workerBytes) - 1;
    const { plan } = await planOf(chain(8), { ...options, memoryLimit: limit });
    expect(Math.max(...plan.workerBytes)).toBeLessThanOrEqual(limit);
  });

  it('is refused where the cuts that are asked for need more, without measuring anything', async () => {
    const options = { ...PIPELINE, partition: 'uniform' } as const;
    const least = await leastNeed(chain(8), options);
    const { plan, measured } = await planOf(chain(8), { ...options, memoryLimit: least });
    expect(Math.max(...plan.workerBytes)).toBe(least);
    expect(measured).toBe(false);
    await expect(planOf(chain(8), { ...options, memoryLimit: least - 1 })).rejects.toThrow(
      ConfigurationError,
    );
  });
});

describe('the least need that a refusal tells', () => {
  const chainOf = (widths: readonly number[]): tf.LayersModel => {
    const model = tf.sequential({
      layers: widths.map((units, index) =>
        tf.layers.dense({ units, ...(index === 0 ? { inputShape: [8] } : {}) }),
      ),
    });
    model.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
    return model;
  };
  /** Ascending choices of so many of the numbers from `from` to `to`. */
  const choices = (count: number, from: number, to: number): number[][] =>
    count === 0
      ? [[]]
      : Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index).flatMap(first =>
          choices(count - 1, first + 1, to).map(rest => [first, ...rest]),
        );

  it('is that of the best of all cuts, and a plan that has so much room is made', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(1, 8, 40, 200), { minLength: 3, maxLength: 6 }),
        fc.constantFrom(2, 3),
        fc.constantFrom('gpipe', '1f1b', 'zero-bubble'),
        fc.constantFrom('never', 'always'),
        fc.constantFrom(8, 400),
        async (widths, stages, schedule, recompute, batchSize) => {
          const model = chainOf(widths);
          const options = {
            stages,
            workers: stages,
            microBatches: 4,
            schedule,
            recompute,
            batchSize,
          } as const;
          const memory = new ModelMemory(readGraph(model), ADAM);
          const residents = { replicas: 1, batchSize, schedule: scheduleOf(schedule, stages, 4), recompute };
          const needs = choices(stages - 1, 1, widths.length - 1).map(cuts =>
            Math.max(...memory.workerBytes(cuts, residents)),
          );
          const least = await leastNeed(model, options);
          expect(least).toBe(Math.min(...needs));
          const { plan } = await planOf(model, { ...options, memoryLimit: least });
          expect(Math.max(...plan.workerBytes)).toBe(least);
          model.dispose();
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('a plan that is left to Millrace, under a memory limit', () => {
  const MODEL_BYTES = 8 * RESIDENT;

  it('is of replicas where they have room, which needs no measuring', async () => {
    const { plan, measured } = await planOf(chain(8), { memoryLimit: 2 * MODEL_BYTES });
    expect([plan.cut.stages.length, measured]).toEqual([1, false]);
  });

  it('is of stages where they alone have room', async () => {
    const { plan, measured } = await planOf(chain(8), { memoryLimit: 0.6 * MODEL_BYTES });
    expect([plan.cut.stages.length, plan.replicas, measured]).toEqual([4, 1, true]);
    expect(plan.workerOfStage).toEqual([0, 1, 0, 1]);
    expect(Math.max(...plan.workerBytes)).toBeLessThanOrEqual(0.6 * MODEL_BYTES);
  });

  it('is refused where nothing has room, with the least that is needed', async () => {
    const least = await leastNeed(chain(8), {});
    expect(least).toBeGreaterThan(MODEL_BYTES / 2);
    expect(least).toBeLessThan(0.6 * MODEL_BYTES);
    expect((await planOf(chain(8), { memoryLimit: least })).plan.cut.stages).toHaveLength(2);
  });
});
