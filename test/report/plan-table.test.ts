import { formatPlan, type Plan, type StagePlan } from 'millrace';
import { describe, expect, it } from 'vitest';

const stage: StagePlan = {
  stage: 0,
  worker: 0,
  layers: ['dense_Dense1'],
  parameters: 10,
  weightBytes: 40,
  incomingBytesPerSample: 0,
  activationBytesPerSample: 44,
  predictedMs: undefined,
  share: 1,
};

const plan: Plan = {
  backend: 'wasm',
  backendReason: 'forced by MILLRACE_BACKEND',
  backendVersion: '4.22.0',
  workers: 1,
  replicas: 1,
  microBatches: 1,
  schedule: { name: '1f1b', stageCount: 1, microBatchCount: 1, workerOfStage: [0], orders: [[]] },
  recompute: 'never',
  workerBytes: [3_000_000],
  layerCalls: 1,
  cuts: [],
  stages: [stage],
  candidates: [],
  isSettled: true,
  costs: undefined,
  prediction: undefined,
  explain: () => '',
};

describe('the plan table', () => {
  it('shows one stage', () => {
    expect(formatPlan(plan)).toMatchInlineSnapshot(`
      "backend   wasm 4.22.0 (forced by MILLRACE_BACKEND)
      schedule  1f1b, 1 micro-batch a mini-batch, 1 worker, recompute never
      memory    2.9 MiB in the fullest worker, by estimate, besides its engine

      stage  worker  layers        parameters  weights  in/sample  share of time
          0       0  dense_Dense1          10     40 B          –          100 %"
    `);
  });

  it('shows three stages on two workers, in human units and aligned columns', () => {
    const stages: StagePlan[] = [
      {
        ...stage,
        layers: ['conv1', 'pool1'],
        parameters: 416,
        weightBytes: 1664,
        predictedMs: 5,
        share: 0.5,
      },
      {
        ...stage,
        stage: 1,
        worker: 1,
        layers: ['conv2', 'pool2', 'flatten', 'dropout1', 'dense1'],
        parameters: 1_180_160,
        weightBytes: 4_720_640,
        incomingBytesPerSample: 9216,
        predictedMs: 4.55,
        share: 0.455,
      },
      {
        ...stage,
        stage: 2,
        layers: ['dense2'],
        parameters: 1290,
        weightBytes: 5160,
        incomingBytesPerSample: 512,
        predictedMs: 0.45,
        share: 0.045,
      },
    ];
    expect(
      formatPlan({
        ...plan,
        backend: 'tensorflow',
        backendVersion: '2.9.1',
        backendReason: 'the fastest, and it loads',
        workers: 2,
        microBatches: 6,
        recompute: 'except-last',
        stages,
      }),
    ).toMatchInlineSnapshot(`
      "backend   tensorflow 2.9.1 (the fastest, and it loads)
      schedule  1f1b, 6 micro-batches a mini-batch, 2 workers, recompute except-last
      memory    2.9 MiB in the fullest worker, by estimate, besides its engine

      stage  worker  layers                      parameters  weights  in/sample  share of time
          0       0  conv1, pool1                       416  1.6 KiB          –           50 %
          1       1  conv2, pool2, … dense1 (5)   1,180,160  4.5 MiB    9.0 KiB           46 %
          2       0  dense2                           1,290  5.0 KiB      512 B            5 %"
    `);
  });

  it('says what is predicted where the layers were measured', () => {
    const prediction = {
      rows: 1280,
      periodMs: 12.345,
      makespanMs: 1234.5,
      bubbleFraction: 0.206,
      workers: [{ busyMs: 9.8, bubbleFraction: 0.206, peakLive: 1 }],
    };
    expect(formatPlan({ ...plan, prediction }).split('\n')[3]).toBe(
      "predicted 12.3 ms a mini-batch of 1,280, 21 % of the workers' time idle; a mini-batch alone takes 1,235 ms",
    );
  });

  it('says that nothing was measured when the cut was not made by time', () => {
    const stages = [0, 1].map(index => ({
      ...stage,
      stage: index,
      worker: index,
      incomingBytesPerSample: 4,
      share: undefined,
    }));
    expect(formatPlan({ ...plan, workers: 2, stages })).toMatchInlineSnapshot(`
      "backend   wasm 4.22.0 (forced by MILLRACE_BACKEND)
      schedule  1f1b, 1 micro-batch a mini-batch, 2 workers, recompute never
      memory    2.9 MiB in the fullest worker, by estimate, besides its engine

      stage  worker  layers        parameters  weights  in/sample  share of time
          0       0  dense_Dense1          10     40 B          –              –
          1       1  dense_Dense1          10     40 B        4 B              –"
    `);
  });
});
