// @ts-check
/** Real workers, channels and programs with stages that only take time: how long a schedule takes where no core is short. */
import * as tf from '@tensorflow/tfjs';
import { lastValueFrom } from 'rxjs';
import { cutModel, cutPoints, readGraph } from '#internal/model/index.js';
import { runSession } from '#internal/scheduler/driver/run.js';
import { DriverSession } from '#internal/scheduler/driver/session.js';
import { WorkerPool } from '#internal/scheduler/driver/worker-pool.js';

/** @typedef {import('#internal/protocol/schedule.js').Schedule} Schedule */
/** @typedef {import('#internal/protocol/session.js').StageDurations['ms']} Durations */
/** @typedef {import('#internal/scheduler/driver/events.js').ActionRecord} ActionRecord */

const HEADER = /** @type {const} */ ({ dtype: 'float32', shape: [2] });

/**
 * @param {number} workerCount as many as the schedules use that are run on them
 * @returns {Promise<WorkerPool>} for the caller to close
 */
export function startNullWorkers(workerCount) {
  return WorkerPool.start({
    workerCount,
    backend: 'null',
    setup: [],
    seed: 0,
    batchNorm: 'exact',
    tracedLayers: [],
  });
}

/**
 * Runs mini-batches, each alone, after as many others as are asked for: by then no thread wakes for the first time.
 * @param {WorkerPool} pool
 * @param {Schedule} schedule
 * @param {Durations} ms of every stage's actions
 * @param {{ warmUps?: number, miniBatches?: number }} [counts] default 1 each
 * @returns {Promise<(readonly ActionRecord[])[]>} what ran, by mini-batch
 */
export async function runOnNullStages(pool, schedule, ms, { warmUps = 1, miniBatches = 1 } = {}) {
  const { stageCount, microBatchCount } = schedule;
  const model = chainOf(stageCount);
  const graph = readGraph(model);
  const cut = cutModel(graph, stageCount === 1 ? [] : cutPoints(graph).slice(1 - stageCount));
  try {
    const session = await DriverSession.open(
      pool,
      {
        cut,
        schedule,
        replicas: 1,
        synchronisesBatchNorm: false,
        recompute: 'never',
        sumCount: 2,
        stallTimeoutMs: 60_000,
        poison: false,
        clipNorm: undefined,
        durations: { ms, holdsSlots: true },
      },
      { mode: 'train', microBatchRows: 1, inputs: [HEADER], targets: [HEADER] },
    );
    const samples = { header: HEADER, data: new Float32Array(2 * microBatchCount) };
    const rows = Uint32Array.from({ length: microBatchCount }, (_, index) => index);
    const batch = { rows, inputs: [samples], targets: [samples], sampleWeights: [] };
    /** @type {(readonly ActionRecord[])[]} */
    const actions = [];
    for (let number = 0; number < warmUps + miniBatches; number++) {
      const report = await lastValueFrom(
        runSession({
          session,
          cut,
          source: [batch][Symbol.iterator](),
          describeStep: () => ({ number, learningRate: 0 }),
          recordActions: () => true,
        }),
      );
      if (number >= warmUps) actions.push(report.actions);
    }
    await session.close();
    return actions;
  } finally {
    model.dispose();
  }
}

/** @param {number} layerCount */
function chainOf(layerCount) {
  const model = tf.sequential();
  for (let layer = 0; layer < layerCount; layer++)
    model.add(tf.layers.dense({ units: 2, ...(layer === 0 ? { inputShape: [2] } : {}) }));
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  return model;
}
