/**
 * Balances one number per unit: the largest stage as small as possible, and with that the squares of all stages,
 * so that the others are even too (3 3 2 2 rather than 3 3 3 1).
 */
import { checkProblem } from './errors.js';
import type { Cuts, PartitionProblem, PartitionUnit } from './problem.js';
import { leastBottleneck, leastSum, type SegmentCost } from './segments.js';

export function cutEvenly(
  problem: PartitionProblem,
  stageCount: number,
  sizeOf: (unit: PartitionUnit) => number,
): Cuts {
  checkProblem(problem, stageCount);
  const bounds = blockBounds(problem);
  const blockCount = bounds.length - 1;
  const sums = prefixSums(problem.units.map(sizeOf));
  const size = (first: number, end: number): number => sums[bounds[end]!]! - sums[bounds[first]!]!;
  const cost: SegmentCost = { of: size, floor: size };
  const { bottleneck } = leastBottleneck(blockCount, stageCount, cost)!;
  const even = leastSum(blockCount, stageCount, cost, bottleneck, (first, end) => size(first, end) ** 2)!;
  return even.starts.map(start => bounds[start]!);
}

/** Unit index at which each block between allowed cuts begins, and the number of units at the end. */
export function blockBounds({ units, allowedCuts }: PartitionProblem): readonly number[] {
  return [0, ...allowedCuts, units.length];
}

/** Entry k is the sum of the first k values. */
export function prefixSums(values: readonly number[]): Float64Array {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, index) => {
    sums[index + 1] = sums[index]! + value;
  });
  return sums;
}
