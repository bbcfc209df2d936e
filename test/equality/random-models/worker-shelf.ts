/**
 * Worker pools that outlive a trainer. Starting workers takes half a second, a small random job a fraction of that, so
 * trainers get pools off a shelf and put them back when they are closed. Only the start and the end of the threads are
 * skipped; stages are built anew for every trainer.
 *
 * A pool goes back empty: its sessions closed, its stages disposed, and as many tensors in every worker as when it was new.
 * A job that leaves a tensor behind fails here.
 */

import type { CompileSpec } from '#internal/protocol/stage-spec.js';
import { type PoolOptions, WorkerPool } from '#internal/scheduler/driver/worker-pool.js';

const NOTHING: CompileSpec = {
  optimizer: { className: 'SGD', config: { learningRate: 0 } },
  losses: [],
  lossWeights: [],
  metrics: [],
  outputs: [],
};

export class WorkerShelf {
  readonly #idle = new Map<string, { readonly pool: WorkerPool; readonly close: () => Promise<void> }[]>();
  readonly #start: typeof WorkerPool.start;

  private constructor() {
    this.#start = WorkerPool.start.bind(WorkerPool);
  }

  /** From here on every trainer in this process takes its workers off the shelf, until `close`. */
  static install(): WorkerShelf {
    const shelf = new WorkerShelf();
    WorkerPool.start = options => shelf.#take(options);
    return shelf;
  }

  async #take(options: PoolOptions): Promise<WorkerPool> {
    const key = JSON.stringify(options);
    const found = this.#idle.get(key)?.pop();
    if (found !== undefined) return found.pool;
    const pool = await this.#start(options);
    const close = pool.close.bind(pool);
    await empty(pool);
    const tensorCounts = await countTensors(pool);
    pool.close = async () => {
      if (pool.isBroken || pool.control.isAborted) return close();
      await empty(pool);
      const left = await countTensors(pool);
      if (left.some((count, worker) => count !== tensorCounts[worker])) {
        await close();
        throw new Error(
          `workers had [${tensorCounts}] tensors before the job and [${left}] when all was disposed`,
        );
      }
      const idle = this.#idle.get(key) ?? [];
      idle.push({ pool, close });
      this.#idle.set(key, idle);
    };
    return pool;
  }

  async close(): Promise<void> {
    WorkerPool.start = this.#start;
    const pools = [...this.#idle.values()].flat();
    this.#idle.clear();
    await Promise.all(pools.map(({ close }) => close()));
  }
}

async function empty(pool: WorkerPool): Promise<void> {
  await pool.all(worker => worker.build([], NOTHING));
}

async function countTensors(pool: WorkerPool): Promise<number[]> {
  return (await pool.all(worker => worker.memory())).map(({ tensorCount }) => tensorCount);
}
