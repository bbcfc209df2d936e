/**
 * ZB-H1 (Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241): F and B in the order of 1F1B, and each W later, in
 * what would be waiting. The bubble falls from (p−1)(F+B+W) to (p−1)(F+B−W); with one run a worker, every one keeps up to p
 * live micro-batches, where worker r keeps p − r in 1F1B.
 *
 * 3 stages, 4 micro-batches, F = B = W = 1:
 *
 *   worker 0  0F0     0F1     0F2     .       .       0B0     0W0     0F3     0B1     0W1     0B2     0W2     0B3     0W3
 *   worker 1  .       1F0     1F1     .       1B0     1F2     1B1     1W0     1F3     1B2     1W1     1B3     1W2,3----------
 *   worker 2  .       .       2F0     2B0     2F1     2B1     2F2     2B2     2W0     2F3     2B3     2W1,2,3----------------
 *
 * Run r, a stretch of neighbouring stages on one worker, does W of micro-batch i behind B of micro-batch i + r: B of the last run then never waits for a W of its own before
 * there are p − 1 of them, and gradients reach the first run, which has nothing to delay, as early as they can. W's
 * that are left behind the last B become one action, which is one larger product for layers that can.
 *
 * Moving a W backwards in its own worker's order makes no other worker wait that did not wait for it before, so what holds
 * for 1F1B's deadlocks holds here.
 */
import type { ComputeAction } from '../../../protocol/action.js';
import { oneFOneB } from './one-f-one-b.js';
import { type ScheduleGenerator, splitIntoRuns } from './params.js';

export const zeroBubble: ScheduleGenerator = params => {
  const schedule = oneFOneB(params);
  const runs = splitIntoRuns(params.workerOfStage).map((stages, delay) => ({
    stages: stages.toReversed(),
    delay,
  }));
  const runOf = new Map(runs.flatMap(run => run.stages.map(stage => [stage, run])));
  const orders = schedule.orders.map(order => delayWeights(order, runOf, params.microBatchCount));
  return { ...schedule, name: 'zero-bubble', orders };
};

interface Run {
  /** From the last one to the first, as B goes through them. */
  readonly stages: readonly number[];
  readonly delay: number;
}

/**
 * Puts all W's of a run for micro-batch i behind its B's of micro-batch i + delay, and what is left behind its last B, in one
 * action a stage.
 */
function delayWeights(
  order: readonly ComputeAction[],
  runOf: ReadonlyMap<number, Run>,
  microBatchCount: number,
): readonly ComputeAction[] {
  return order.flatMap((action): readonly ComputeAction[] => {
    if (action.kind !== 'backwardWeight') return [action];
    const { stages, delay } = runOf.get(action.stage)!;
    // The W's of the run's other stages stand between its B's, which the run before waits for.
    if (action.stage !== stages.at(-1)) return [];
    const microBatch = action.microBatches[0]!;
    const isLast = microBatch === microBatchCount - 1;
    if (microBatch < delay && !isLast) return [];
    const first = Math.max(0, microBatch - delay);
    const count = isLast ? microBatchCount - first : 1;
    const microBatches = Array.from({ length: count }, (_, place) => first + place);
    return stages.map(stage => ({ kind: 'backwardWeight', stage, microBatches }));
  });
}
