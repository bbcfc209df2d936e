/** Where a model is cut and what its plan tells, with times that are given rather than measured. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { describePlan } from '#internal/describe-plan.js';
import { ConfigurationError } from '#internal/errors.js';
import { readGraph } from '#internal/model/index.js';
import { type PipelineOptions, parseOptions } from '#internal/options.js';
import { countStages, planModel } from '#internal/scheduler/driver/plan-model.js';
import type { WorkerPool } from '#internal/scheduler/driver/worker-pool.js';
import { PLAIN_TRAINING } from './plan-request.js';

beforeAll(() => tf.setBackend('cpu'));

const { layers } = tf;

/** The plan for a model whose layer calls take these times, half of it forwards. */
function planOf(
  model: tf.LayersModel,
  stageCount: number,
  options: PipelineOptions,
  ms: number[] = [],
  workerCount = stageCount,
) {
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  const profiles = ms.map(time => ({
    forwardMs: time / 2,
    backwardInputMs: time / 4,
    backwardWeightMs: time / 4,
    accumulateMs: 0,
    stepMs: 0,
    outputBytes: 0,
  }));
  const pool = { workerCount, all: async () => [profiles] } as unknown as WorkerPool;
  const request = {
    graph: readGraph(model),
    options: parseOptions(options),
    stageCount,
    replicas: 1,
    ...PLAIN_TRAINING,
  };
  return planModel(request, pool);
}

describe('the measured partition', () => {
  /** Balanced only where 50 MB cross the cut, which takes 4 ms on both of its sides. */
  const model = (): tf.LayersModel =>
    tf.sequential({
      layers: [
        layers.dense({ units: 4, inputShape: [4], name: 'head' }),
        layers.repeatVector({ n: 200_000, name: 'wide' }),
        layers.globalAveragePooling1d({ name: 'narrow' }),
        layers.dense({ units: 1, name: 'tail' }),
      ],
    });
  const cutBefore = async (microBatches: number): Promise<string> => {
    const { cut } = await planOf(model(), 2, { microBatches }, [1, 5, 5, 1]);
    return cut.graph.layers[cut.stages[1]!.layers[0]!]!.name;
  };

  it('balances the stages where many micro-batches go through them', async () => {
    expect(await cutBefore(100)).toBe('narrow');
  });

  // With one, evaluating and predicting still have two mini-batches under way.
  it.each([1, 2])('spares the transport where there are few: %i', async microBatches => {
    expect(['wide', 'tail']).toContain(await cutBefore(microBatches));
  });
});

describe('schedules that want several stages a worker', () => {
  const chainOf = (layerCount: number): tf.LayersModel =>
    tf.sequential({
      layers: Array.from({ length: layerCount }, (_, index) =>
        layers.dense({ units: 2, name: `layer_${index}`, ...(index === 0 ? { inputShape: [2] } : {}) }),
      ),
    });
  const count = (layerCount: number, options: PipelineOptions, cores: number) =>
    countStages(readGraph(chainOf(layerCount)), parseOptions(options), cores);

  it.each(['interleaved', 'zb-v'] as const)('%s: get two on each', schedule => {
    expect(count(9, { schedule, workers: 3 }, 8)).toEqual({ stageCount: 6, replicas: 1, workerCount: 3 });
    expect(count(9, { schedule }, 2)).toEqual({ stageCount: 4, replicas: 1, workerCount: 2 });
    // Fewer workers, so that each has two.
    expect(count(9, { schedule }, 8)).toEqual({ stageCount: 8, replicas: 1, workerCount: 4 });
    expect(count(9, { schedule }, 1)).toEqual({ stageCount: 2, replicas: 1, workerCount: 1 });
    expect(count(9, { schedule, stages: 6 }, 8)).toEqual({ stageCount: 6, replicas: 1, workerCount: 3 });
    expect(count(9, { schedule, stages: 5, workers: 4 }, 8)).toEqual({
      stageCount: 5,
      replicas: 1,
      workerCount: 4,
    });
    expect(count(9, { schedule: '1f1b' }, 8)).toEqual({ stageCount: 8, replicas: 1, workerCount: 8 });
  });

  it.each([
    [5, { workers: 3 }, 'wants 2 stages on each of 3 workers'],
    [3, {}, 'wants 2 stages on each of 2 workers'],
    [1, { workers: 1 }, 'wants 2 stages on each of 1 workers'],
  ] as const)(
    'are refused where a model of %d layers cannot be cut so often: %j',
    (most, options, message) => {
      const ask = () => count(most, { schedule: 'zb-v', ...options }, 8);
      expect(ask).toThrow(ConfigurationError);
      expect(ask).toThrow(message);
      expect(ask).toThrow(`can be cut into ${most} at the most`);
    },
  );

  it('are placed as they want', async () => {
    const options = { partition: 'uniform', microBatches: 2 } as const;
    const placed = async (schedule: 'interleaved' | 'zb-v'): Promise<readonly number[]> => {
      const plan = await planOf(chainOf(4), 4, { ...options, schedule }, [], 2);
      return plan.workerOfStage;
    };
    expect(await placed('interleaved')).toEqual([0, 1, 0, 1]);
    expect(await placed('zb-v')).toEqual([0, 1, 1, 0]);
  });
});

describe('greedy', () => {
  it('measures the layers, and orders the work by their times', async () => {
    const model = tf.sequential({
      layers: [2, 3, 4].map((units, index) =>
        layers.dense({ units, ...(index === 0 ? { inputShape: [2] } : {}) }),
      ),
    });
    const options = { schedule: 'greedy', partition: 'uniform', microBatches: 6 } as const;
    const plan = await planOf(model, 3, options, [1, 5, 2]);
    expect(plan.stageMs).toHaveLength(3);
    expect(plan.schedule).toMatchObject({ name: 'greedy', microBatchCount: 6, workerOfStage: [0, 1, 2] });
  });
});

describe('a described plan', () => {
  it('counts the bytes that a stage receives, not those that skip it', async () => {
    const input = tf.input({ shape: [10] });
    const a = layers.dense({ units: 100, name: 'a' }).apply(input) as tf.SymbolicTensor;
    const b = layers.dense({ units: 7, name: 'b' }).apply(a) as tf.SymbolicTensor;
    const c = layers.dense({ units: 100, name: 'c' }).apply(b) as tf.SymbolicTensor;
    const sum = layers.add({ name: 'sum' }).apply([a, c]) as tf.SymbolicTensor;
    const skipping = tf.model({ inputs: input, outputs: sum });
    const plan = await planOf(skipping, 4, { partition: ['b', 'c', 'sum'], microBatches: 1 });
    const { stages } = describePlan({
      plan,
      backend: { name: 'cpu', reason: '', warnings: [] },
      backendVersion: '',
      tried: [],
      isSettled: true,
    });
    expect(stages.map(({ incomingBytesPerSample }) => incomingBytesPerSample)).toEqual([0, 400, 28, 800]);
  });
});
