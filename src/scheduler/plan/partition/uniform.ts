/** Cuts a model into stages of nearly equal numbers of layers. Needs no measurement, and knows nothing of cost. */
import { cutEvenly } from './evenly.js';
import type { Cuts, PartitionProblem } from './problem.js';

export function partitionUniformly(problem: PartitionProblem, stageCount: number): Cuts {
  return cutEvenly(problem, stageCount, unit => unit.layerNames.length);
}
