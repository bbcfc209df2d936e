/**
 * Cuts a model into stages of nearly equal numbers of parameters. Fair for dense layers, whose work per sample grows
 * with their weights, and for memory; misleading for convolutions, which use each weight many times.
 */
import { cutEvenly } from './evenly.js';
import type { Cuts, PartitionProblem } from './problem.js';

export function partitionByParameters(problem: PartitionProblem, stageCount: number): Cuts {
  return cutEvenly(problem, stageCount, unit => unit.parameters);
}
