/** Sessions that cannot be opened or run, on workers that compute nothing. */
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, expect, it, vi } from 'vitest';
import { cutModel, readGraph } from '#internal/model/index.js';
import type { SessionSpec } from '#internal/protocol/session.js';
import { DriverSession } from '#internal/scheduler/driver/session.js';
import { WorkerPool } from '#internal/scheduler/driver/worker-pool.js';
import { generateSchedule, place } from '#internal/scheduler/plan/index.js';
import { nullPool } from '../helpers/null-pool.js';

let pool: WorkerPool;

beforeAll(() => tf.setBackend('cpu'));
afterEach(() => pool.close());

const startPool = async (): Promise<void> => {
  pool = await WorkerPool.start(nullPool(2));
};

it('a session that one worker cannot open is closed in the others', async () => {
  await startPool();
  const model = tf.sequential({
    layers: [tf.layers.dense({ inputShape: [2], units: 2 }), tf.layers.dense({ units: 2 })],
  });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  const graph = readGraph(model);
  const header = { dtype: 'float32', shape: [2] } as const;
  const schedule = generateSchedule('1f1b', {
    stageCount: 2,
    microBatchCount: 2,
    workerOfStage: place(2, 2),
  });
  const opened: number[] = [];
  const closed: [number, number][] = [];
  const all = pool.all.bind(pool);
  vi.spyOn(pool, 'all').mockImplementation(call =>
    all((worker, index) =>
      call(
        new Proxy(worker, {
          get:
            (target, method: keyof typeof worker) =>
            async (...args: unknown[]) => {
              if (method === 'openSession') {
                if (index === 1) throw new RangeError('no memory here');
                opened.push((args[0] as SessionSpec).id);
              }
              if (method === 'closeSession') closed.push([index, args[0] as number]);
              return (target[method] as (...given: unknown[]) => Promise<unknown>)(...args);
            },
        }),
        index,
      ),
    ),
  );
  const plan = {
    cut: cutModel(graph, [graph.nodes.length - 1]),
    schedule,
    replicas: 1,
    synchronisesBatchNorm: false,
    recompute: 'never',
    sumCount: 2,
    stallTimeoutMs: 20_000,
    poison: false,
    clipNorm: undefined,
    durations: { ms: {}, holdsSlots: false },
  } as const;
  const geometry = { mode: 'train', microBatchRows: 1, inputs: [header], targets: [header] } as const;
  await expect(DriverSession.open(pool, plan, geometry)).rejects.toThrow('no memory here');
  expect(opened).toHaveLength(1);
  expect(closed).toContainEqual([0, opened[0]]);
  await expect(pool.worker(0).run(opened[0]!)).rejects.toThrow('is not open');
});

it('a worker that does not know the session it is to run stops the others', async () => {
  await startPool();
  expect(pool.control.isAborted).toBe(false);
  await expect(pool.worker(1).run(12_345)).rejects.toThrow('Session 12345 is not open in worker 1');
  expect(pool.control.isAborted).toBe(true);
});
