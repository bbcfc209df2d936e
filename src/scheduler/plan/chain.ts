/** The plainest topology: every stage feeds the next one, and gradients come back the same way. */
import type { StageTopology } from '../../protocol/topology.js';

/** Inputs enter at the first stage, targets and outputs belong to the last. */
export function chainTopology(stageCount: number): StageTopology {
  const last = stageCount - 1;
  return {
    stageCount,
    edges: Array.from({ length: last }, (_, from) => ({ from, to: from + 1, gradient: true })),
    fedStages: last === 0 ? [0] : [0, last],
    outputStages: [last],
  };
}
