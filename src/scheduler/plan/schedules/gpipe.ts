/**
 * GPipe (Huang et al., arXiv 1811.06965), also called fill-drain: all forwards, then all backwards, the last
 * micro-batch first. The simplest order, with m live activations in every worker.
 *
 * 3 stages, 4 micro-batches, F = B = W = 1:
 *
 *   worker 0  0F0 0F1 0F2 0F3 .   .   .   .   0B3 0W3 0B2 0W2 0B1 0W1 0B0 0W0
 *   worker 1  .   1F0 1F1 1F2 1F3 .   .   1B3 1W3 1B2 1W2 1B1 1W1 1B0 1W0
 *   worker 2  .   .   2F0 2F1 2F2 2F3 2B3 2W3 2B2 2W2 2B1 2W1 2B0 2W0
 *
 * The backwards run through the micro-batches downwards, as in the paper and in torchgpipe: the micro-batch whose
 * forward ended last is the first to go back, so its tape need never be recomputed.
 *
 * Clock: torchgpipe's, where run b does F of micro-batch i in cycle i + b; the backward half is its mirror image.
 */
import { orderByClock } from './clock.js';
import type { ScheduleGenerator } from './params.js';

export const gpipe: ScheduleGenerator = params =>
  orderByClock('gpipe', params, (runCount, microBatchCount) => {
    const lastCycle = 2 * (runCount + microBatchCount) - 3;
    return {
      forward: (run, microBatch) => microBatch + run,
      // One more for each run downwards; all after the last forward cycle, runCount + microBatchCount − 2.
      backward: (run, microBatch) => lastCycle - (microBatch + run),
    };
  });
