/** Workers that compute nothing: for tests of threads, sessions and schedules. */
import type { PoolOptions } from '#internal/scheduler/driver/worker-pool.js';

export function nullPool(workerCount: number): PoolOptions {
  return { workerCount, backend: 'null', setup: [], seed: 0, batchNorm: 'exact', tracedLayers: [] };
}
