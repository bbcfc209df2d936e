/** What a plan is chosen by, but for how long the layers take. */
import type { PlanQuestion } from './choose-plan.js';
import type { PlanRequest } from './model-plan.js';
import { recomputeModes } from './recompute-modes.js';

/** What does not follow from what planning is told. */
type Decided = Pick<PlanQuestion, 'problem' | 'memory' | 'statedCuts' | 'microBatchCounts' | 'scheduleOf'>;

export function questionOf(
  { graph, options, stageCount, replicas, coupling }: PlanRequest,
  decided: Decided,
): Omit<PlanQuestion, 'costs'> {
  return {
    ...decided,
    graph,
    stageCount,
    replicas,
    batchSize: options.batchSize,
    recomputeModes: recomputeModes(graph, options, coupling),
    memoryLimit: options.memoryLimit,
  };
}
