/**
 * ZB-V (Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241): two stages a worker, placed in a V, so that worker 0 has both
 * the first stage and the last. B begins where F began and where the worker has been busy all the while. With F = B = W and
 * at least 2p micro-batches no worker waits between its first action and its last (from p = 5 on for one stage's action in the end,
 * from p = 10 on for three), and the next mini-batch follows at once. Every worker keeps up to p live micro-batches, in units of
 * its whole share, never above m.
 *
 * 4 stages on 2 workers, 4 micro-batches, F = B = W = 1:
 *
 *   worker 0  0F0   0F1   0F2   3F0   3B0   3W0   3F1   3B1   3W1   0F3   0B0   0W0   3F2   3B2   3W2   0B1   0W1   3F3   3B3   0B2   0W2   0B3   0W3   3W3
 *   worker 1  .     1F0   2F0   1F1   2F1   2B0   2W0   1F2   1B0   1W0   2F2   2B1   2W1   1F3   1B1   1W1   2F3   2B2   1B2   2B3   1B3   1W2,3------ 2W2,3------
 *
 * The order is that of a list scheduler which lets F and B take turns within that memory: of all its rules the one that leaves
 * least bubble for every p and m up to 12 and 60. Of several Vs (more than two stages a worker) and of other placements it makes
 * what can be made with p shares.
 */
import { listSchedule } from './list-scheduler.js';
import { MemoryBudget, stagesOfWorkers } from './memory-budget.js';
import { checkParams, type ScheduleGenerator } from './params.js';

export const zbV: ScheduleGenerator = params => {
  checkParams(params);
  const { stageCount, microBatchCount, workerOfStage } = params;
  const stages = stagesOfWorkers(workerOfStage);
  // At unit costs, whatever the caller's: the order is a form, as those of other names are.
  const atUnitCost = { stageCount, microBatchCount, workerOfStage: [...workerOfStage] };
  const budget = new MemoryBudget(atUnitCost, { liveLimit: stages.map(own => own.length * stages.length) });
  const rule = { first: 'strict-turns', backward: 'first-stage', patient: false } as const;
  return { name: 'zb-v', ...atUnitCost, orders: listSchedule(atUnitCost, budget, rule).orders };
};
