/** Where a model is cut and what its plan tells, with times that are given rather than measured. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { describePlan } from '#internal/describe-plan.js';
import { readGraph } from '#internal/model/index.js';
import { type PipelineOptions, parseOptions } from '#internal/options.js';
import { planModel } from '#internal/scheduler/driver/plan-model.js';
import type { WorkerPool } from '#internal/scheduler/driver/worker-pool.js';

beforeAll(() => tf.setBackend('cpu'));

const { layers } = tf;

/** The plan for a model whose layer calls take these times, half of it forwards. */
function planOf(model: tf.LayersModel, stageCount: number, options: PipelineOptions, ms: number[] = []) {
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  const profiles = ms.map(time => ({
    forwardMs: time / 2,
    backwardInputMs: time / 4,
    backwardWeightMs: time / 4,
    stepMs: 0,
    outputBytes: 0,
  }));
  const pool = { workerCount: stageCount, all: async () => [profiles] } as unknown as WorkerPool;
  const request = {
    graph: readGraph(model),
    options: parseOptions(options),
    stageCount,
    replicas: 1,
    optimizer: { className: 'SGD', config: {} },
    coupling: { mixing: undefined, unrepeatable: undefined, scalarLosses: [] },
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
