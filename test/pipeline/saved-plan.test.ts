/** A plan that was saved runs again as it was, on the model that it was made for. */
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, type PipelineOptions, pipeline, type SavedPlan } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import { compiledClassifier, expectSameWeights, refusal, samples, weightsOf } from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const MEASURED = { backend: 'cpu', workers: 2, stages: 2, batchSize: 16, cache: false } as const;
const SHARED = { backend: 'cpu', replicas: 2, batchSize: 16, microBatches: 2, recompute: 'always' } as const;

/** What a file would hold. */
async function save(options: PipelineOptions): Promise<SavedPlan> {
  await using trainer = await pipeline(compiledClassifier(), options);
  return JSON.parse(JSON.stringify(trainer.plan)) as SavedPlan;
}

let plan: SavedPlan;
beforeAll(async () => {
  plan = await save(MEASURED);
});

it.each([
  ['with measured times', MEASURED],
  ['with replicas and recomputation', SHARED],
  ['of nothing but one worker', { backend: 'cpu', workers: 1, batchSize: 16 } as const],
])('a plan %s is the same after JSON, and is neither measured nor tuned', async (_, options) => {
  const saved = await save(options);
  const again = { backend: 'cpu', batchSize: 16, cache: false, plan: saved } as const;
  await using trainer = await pipeline(compiledClassifier(), again);
  // Times that are measured anew would differ.
  const { candidates, isSettled, ...same } = JSON.parse(JSON.stringify(trainer.plan));
  expect([candidates, isSettled]).toEqual([[], true]);
  expect(saved).toMatchObject(same);
});

it('trains, and gives what the plan gave before', async () => {
  const { x, y } = samples(32);
  const train = async (options: PipelineOptions) => {
    const model = compiledClassifier();
    await using trainer = await pipeline(model, { backend: 'cpu', seed: 3, ...options });
    await trainer.fit(x, y, { epochs: 2, batchSize: 16, shuffle: false });
    return weightsOf(model);
  };
  expectSameWeights(await train({ plan }), await train({ ...MEASURED }));
});

describe('a plan is refused', () => {
  const refused = async (options: PipelineOptions) => {
    const error = await refusal(() => pipeline(compiledClassifier(), { backend: 'cpu', ...options }));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({ path: 'plan' });
    return error.message;
  };

  it.each([
    ['workers', 2],
    ['stages', 2],
    ['replicas', 1],
    ['microBatches', 4],
    ['schedule', 'gpipe'],
    ['partition', 'uniform'],
    ['recompute', 'never'],
  ])("beside option '%s'", async (key, value) => {
    expect(await refused({ plan, [key]: value })).toContain(`option '${key}'`);
  });

  it('if it is none', async () => {
    expect(await refused({ plan: { cuts: [1] } as unknown as SavedPlan })).toContain('trainer.plan');
  });

  it.each([
    ['with another number of layer calls', { layerCalls: 7 }, /7 layer calls.*'classifier' has 4/],
    ['cut where there is no place', { cuts: [4] }, /before layer call 4/],
    ['with more cuts than stages', { cuts: [1, 2] }, /lists 2 stages, but has cuts for 3/],
    [
      'with other layers',
      { cuts: [2], stages: [{ layers: ['hidden0', 'other'] }, { layers: ['hidden2', 'head'] }] },
      /layer 1 of stage 0 is 'other' in it, and 'hidden1' in the model 'classifier'/,
    ],
    [
      'with a layer too few',
      { cuts: [2], stages: [{ layers: ['hidden0'] }, { layers: ['hidden2', 'head'] }] },
      /layer 1 of stage 0 is missing in it, and 'hidden1' in/,
    ],
  ])('%s', async (_, change, message) => {
    expect(await refused({ plan: { ...plan, ...change } })).toMatch(message);
  });

  it('with a schedule that cannot run', async () => {
    const schedule = { ...plan.schedule, orders: plan.schedule.orders.map(order => order.slice(1)) };
    expect(await refused({ plan: { ...plan, schedule } })).toMatch(/^Option 'plan'/);
  });
});
