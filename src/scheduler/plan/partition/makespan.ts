/**
 * Minimises Σ stages + (m − 1) · slowest stage, exactly.
 *
 * The work inside stages is the same in every partition, so Σ differs by transport alone. Let f(L) be the least
 * transport with no stage above L, one dynamic program. f falls in steps as L grows, and the answer is one of the
 * steps. They are visited from above, but not one by one: while L comes down, no transport below the f last
 * found is to be had, so a partition can only be shorter than the best one known if
 *
 *   slowest stage < (shortest known − f) / (m − 1)
 *
 * which, or anything below the slowest stage last found, is the next L. So L falls every time, and the search ends
 * where it reaches the least possible bottleneck.
 */
import {
  type BottleneckSegmentation,
  leastSum,
  type Segmentation,
  type SegmentCost,
  type SumSegmentation,
} from './segments.js';

export interface MakespanProblem {
  readonly blockCount: number;
  readonly stageCount: number;
  readonly cost: SegmentCost;
  /** Transport time that each side of a boundary between blocks spends. */
  readonly boundaryMs: readonly number[];
  readonly microBatchCount: number;
  /** The partition with the least bottleneck. */
  readonly slowest: BottleneckSegmentation;
}

export function leastMakespan(problem: MakespanProblem): Segmentation {
  const { blockCount, stageCount, cost, boundaryMs, microBatchCount, slowest } = problem;
  const transport = (first: number, end: number): number => boundaryMs[first]! + boundaryMs[end]!;
  const solve = (limit: number): SumSegmentation | undefined =>
    leastSum(blockCount, stageCount, cost, limit, transport);
  /** The makespan without the work that all partitions share. */
  const length = ({ sum, bottleneck }: SumSegmentation): number => sum + (microBatchCount - 1) * bottleneck;

  // One micro-batch has none behind it to wait for the slowest stage: only transport counts.
  if (microBatchCount === 1) return solve(Number.MAX_VALUE)!;
  let best = solve(slowest.bottleneck)!;
  let { operationCount } = best;
  let leastTransport = cheapestTransport(boundaryMs, stageCount);
  let lastBottleneck = Number.POSITIVE_INFINITY;
  for (;;) {
    const useful = (length(best) - leastTransport) / (microBatchCount - 1);
    const limit = numberBelow(Math.min(useful, lastBottleneck));
    // At the least bottleneck itself nothing is left to find: the search began there.
    const found = limit > slowest.bottleneck ? solve(limit) : undefined;
    if (found === undefined) return { starts: best.starts, operationCount };
    operationCount += found.operationCount;
    leastTransport = found.sum;
    lastBottleneck = found.bottleneck;
    if (length(found) < length(best)) best = found;
  }
}

/** The transport of the cheapest cuts, wherever they lie: every cut is paid on both of its sides. */
function cheapestTransport(boundaryMs: readonly number[], stageCount: number): number {
  const cuts = boundaryMs.slice(1, -1).sort((one, other) => one - other);
  return 2 * cuts.slice(0, stageCount - 1).reduce((sum, ms) => sum + ms, 0);
}

/** The next smaller number, for positive ones. */
function numberBelow(value: number): number {
  return value * (1 - Number.EPSILON);
}
