/** Real workers, channels and programs with stages that only take time: what a schedule promises must come out. */
import * as tf from '@tensorflow/tfjs';
import { firstValueFrom, toArray } from 'rxjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { cutModel, readGraph } from '#internal/model/index.js';
import type { Action } from '#internal/protocol/action.js';
import { runSession, type StepReport } from '#internal/scheduler/driver/run.js';
import { DriverSession } from '#internal/scheduler/driver/session.js';
import { WorkerPool } from '#internal/scheduler/driver/worker-pool.js';
import { formatAction, generateSchedule, place, simulateSchedule } from '#internal/scheduler/plan/index.js';
import { useBackend } from '../helpers/backends.js';
import { nullPool } from '../helpers/null-pool.js';

const MICRO_BATCHES = 5;
/** Long against the wake-up of a thread on a busy machine; they sleep, so they need no core of their own. */
const MS = { forward: 30, backwardInput: 30, backwardWeight: 15 } as const;

const isCompute = (kind: string): kind is keyof typeof MS => kind in MS;

describe.each(['1f1b', 'gpipe', 'zero-bubble'])('two stages that take set times, under %s', name => {
  const schedule = generateSchedule(name, {
    stageCount: 2,
    microBatchCount: MICRO_BATCHES,
    workerOfStage: place(2, 2),
  });
  const simulated = simulateSchedule(schedule, {
    cost: action =>
      'microBatches' in action && isCompute(action.kind) ? MS[action.kind] * action.microBatches.length : 0,
  });
  let compute: { text: string; action: Action; worker: number; startMs: number; endMs: number }[] = [];

  beforeAll(async () => {
    await useBackend('cpu');
    const report = await runOnce(schedule);
    compute = report.actions
      .filter(({ action }) => isCompute(action.kind))
      .map(record => ({ text: formatAction(record.action), ...record }));
  });

  const timesOf = (text: string) => compute.find(record => record.text === text)!;
  /** The W of a micro-batch, which may be one of several micro-batches. */
  const weightsOf = (stage: number, microBatch: number) =>
    compute.find(
      ({ action }) =>
        action.kind === 'backwardWeight' &&
        action.stage === stage &&
        action.microBatches.includes(microBatch),
    )!;

  it('run in the order that the schedule says', () => {
    for (const [worker, order] of schedule.orders.entries()) {
      const ran = compute.filter(record => record.worker === worker).sort((a, b) => a.startMs - b.startMs);
      expect(ran.map(({ text }) => text)).toEqual(order.map(formatAction));
    }
  });

  it('wait for each other: F follows F of the stage before, B follows B of the stage after', () => {
    for (let microBatch = 0; microBatch < MICRO_BATCHES; microBatch++) {
      expect(timesOf(`1F${microBatch}`).startMs).toBeGreaterThanOrEqual(timesOf(`0F${microBatch}`).endMs);
      expect(timesOf(`0B${microBatch}`).startMs).toBeGreaterThanOrEqual(timesOf(`1B${microBatch}`).endMs);
    }
  });

  it('compute at once for most of the time', () => {
    const [first, second] = [0, 1].map(worker => compute.filter(record => record.worker === worker));
    let together = 0;
    for (const one of first!) {
      for (const other of second!) {
        together += Math.max(0, Math.min(one.endMs, other.endMs) - Math.max(one.startMs, other.startMs));
      }
    }
    const busy = first!.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
    expect(together / busy).toBeGreaterThan(0.5);
  });

  it('take about the simulated time, never less', () => {
    const start = Math.min(...compute.map(({ startMs }) => startMs));
    const makespan = Math.max(...compute.map(({ endMs }) => endMs)) - start;
    const oneAfterAnother = 2 * MICRO_BATCHES * (MS.forward + MS.backwardInput + MS.backwardWeight);
    // A sleep may end a fraction of a millisecond early.
    expect(makespan).toBeGreaterThan(simulated.makespan - compute.length);
    expect(makespan - simulated.makespan).toBeLessThan((oneAfterAnother - simulated.makespan) / 2);
  });

  it('hold no more micro-batches than the simulation says', () => {
    for (const stage of [0, 1]) {
      const changes = Array.from({ length: MICRO_BATCHES }, (_, microBatch) => [
        { at: timesOf(`${stage}F${microBatch}`).startMs, change: 1 },
        { at: weightsOf(stage, microBatch).endMs, change: -1 },
      ]).flat();
      let live = 0;
      let peak = 0;
      for (const { change } of changes.sort((a, b) => a.at - b.at || a.change - b.change)) {
        live += change;
        peak = Math.max(peak, live);
      }
      expect(peak).toBe(simulated.peakLiveOfStage[stage]);
    }
  });
});

/** The second of two mini-batches: by then no thread has to wake up for the first time. */
async function runOnce(schedule: ReturnType<typeof generateSchedule>): Promise<StepReport> {
  const model = tf.sequential({
    layers: [tf.layers.dense({ inputShape: [2], units: 2 }), tf.layers.dense({ units: 2 })],
  });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  const cut = cutModel(readGraph(model), [readGraph(model).nodes.length - 1]);
  const pool = await WorkerPool.start(nullPool(2));
  try {
    const header = { dtype: 'float32', shape: [2] } as const;
    const session = await DriverSession.open(
      pool,
      {
        cut,
        schedule,
        replicas: 1,
        synchronisesBatchNorm: false,
        recompute: 'never',
        sumCount: 2,
        stallTimeoutMs: 20_000,
        poison: false,
        clipNorm: undefined,
        durations: { ms: MS, holdsSlots: true },
      },
      { mode: 'train', microBatchRows: 1, inputs: [header], targets: [header] },
    );
    const samples = { header, data: new Float32Array(2 * MICRO_BATCHES) };
    const rows = Uint32Array.from({ length: MICRO_BATCHES }, (_, index) => index);
    const batch = { rows, inputs: [samples], targets: [samples], sampleWeights: [] };
    let number = 0;
    const reports = await firstValueFrom(
      runSession({
        session,
        cut,
        source: [batch, batch][Symbol.iterator](),
        describeStep: () => ({ number: number++, learningRate: 0 }),
        recordActions: () => true,
      }).pipe(toArray()),
    );
    await session.close();
    expect(reports.map(report => report.number)).toEqual([0, 1]);
    return reports[1]!;
  } finally {
    await pool.close();
    model.dispose();
  }
}
