/**
 * Forwards alone, for evaluating and predicting: run b does micro-batch i in cycle i + b.
 *
 * 3 stages, 4 micro-batches, F = 1:
 *
 *   worker 0  0F0 0F1 0F2 0F3
 *   worker 1  .   1F0 1F1 1F2 1F3
 *   worker 2  .   .   2F0 2F1 2F2 2F3
 */
import { orderByClock } from './clock.js';
import type { ScheduleGenerator } from './params.js';

export const forwardOnly: ScheduleGenerator = params =>
  orderByClock('forward-only', params, () => ({ forward: (run, microBatch) => microBatch + run }));
