/**
 * 1F1B (PipeDream-Flush, arXiv 2006.09503; Megatron-LM): after a warm-up, every worker does one forward and one
 * backward in turn. The makespan is GPipe's, but worker r of p holds only p − r live activations, never above m.
 *
 * 3 stages, 4 micro-batches, F = B = W = 1:
 *
 *   worker 0  0F0 0F1 0F2 .   .   0B0 0W0 0F3 0B1 0W1 .   0B2 0W2 .   0B3 0W3
 *   worker 1  .   1F0 1F1 .   1B0 1W0 1F2 1B1 1W1 1F3 1B2 1W2 .   1B3 1W3
 *   worker 2  .   .   2F0 2B0 2W0 2F1 2B1 2W1 2F2 2B2 2W2 2F3 2B3 2W3
 *
 * Clock for run b of R, with F and B one tick each:
 *   F of micro-batch i: tick b + i in the warm-up (i < R − b), then b + 2i, right behind B of micro-batch i − (R − b);
 *   B of micro-batch i: tick 2R − 1 − b + 2i, one after the run above.
 * F rises with b, B falls with it, and b + 2i < 2R − 1 − b + 2i: what each needs stands earlier. F and B of one run
 * fall on ticks of different parity once the warm-up is over, so they alternate.
 */
import { orderByClock } from './clock.js';
import type { ScheduleGenerator } from './params.js';

export const oneFOneB: ScheduleGenerator = params =>
  orderByClock('1f1b', params, runCount => ({
    forward: (run, microBatch) => run + (microBatch < runCount - run ? microBatch : 2 * microBatch),
    backward: (run, microBatch) => 2 * (runCount + microBatch) - 1 - run,
  }));
