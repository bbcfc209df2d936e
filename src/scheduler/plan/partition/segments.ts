/**
 * Exact dynamic programs that cut a row of blocks into contiguous segments.
 *
 * The *chains-on-chains* problem (Bokhari 1988; survey of exact algorithms: Pınar and Aykanat 2004). With
 * best[s][e] the least possible bottleneck of the first e blocks in s segments,
 *
 *   best[s][e] = min over f < e of max(best[s−1][f], cost of segment f … e−1 as number s−1)
 *
 * Costs include transport, which depends on where a segment begins and ends and does not grow with its length,
 * so the usual bisection over sorted prefix sums does not apply. What grows is the work inside: it gives a `floor`
 * under the cost of a segment and of all that begin earlier, and the inner loop stops where the floor alone is
 * too much. Segments longer than about the best ones are thus never looked at.
 */

/** Segments are half-open: blocks `first` … `end − 1`; `stage` is the segment's number. */
export interface SegmentCost {
  of(first: number, end: number, stage: number): number;
  /** At most `of`, for this `first` and every smaller one. */
  floor(first: number, end: number, stage: number): number;
}

export interface Segmentation {
  /** First block of segments 1, 2, …. */
  readonly starts: readonly number[];
  /** Segments looked at: a measure of effort that does not wobble. */
  readonly operationCount: number;
}

export interface BottleneckSegmentation extends Segmentation {
  readonly bottleneck: number;
}

/** Minimises the most expensive segment. Undefined if every segmentation costs infinitely much. */
export function leastBottleneck(
  blockCount: number,
  stageCount: number,
  cost: SegmentCost,
): BottleneckSegmentation | undefined {
  const table = new StartTable(blockCount, stageCount);
  let operationCount = 0;
  let best = new Float64Array(blockCount + 1).fill(Number.POSITIVE_INFINITY);
  best[0] = 0;
  for (let stage = 0; stage < stageCount; stage++) {
    const next = new Float64Array(blockCount + 1).fill(Number.POSITIVE_INFINITY);
    for (let end = table.firstEnd(stage); end <= table.lastEnd(stage); end++) {
      let least = Number.POSITIVE_INFINITY;
      for (let first = end - 1; first >= stage; first--) {
        operationCount++;
        if (cost.floor(first, end, stage) >= least) break;
        const bottleneck = Math.max(best[first]!, cost.of(first, end, stage));
        if (bottleneck >= least) continue;
        least = bottleneck;
        table.set(stage, end, first);
      }
      next[end] = least;
    }
    best = next;
  }
  const bottleneck = best[blockCount]!;
  return bottleneck === Number.POSITIVE_INFINITY
    ? undefined
    : { bottleneck, starts: table.trace(), operationCount };
}

export interface SumSegmentation extends Segmentation {
  readonly sum: number;
  /** Most expensive segment. */
  readonly bottleneck: number;
}

/**
 * Among segmentations whose segments cost at most `limit` each, minimises the sum of `weight`; among equals the
 * bottleneck. Undefined if there is none.
 */
export function leastSum(
  blockCount: number,
  stageCount: number,
  cost: SegmentCost,
  limit: number,
  weight: (first: number, end: number, stage: number) => number,
): SumSegmentation | undefined {
  const table = new StartTable(blockCount, stageCount);
  let operationCount = 0;
  let sums = new Float64Array(blockCount + 1).fill(Number.POSITIVE_INFINITY);
  let bottlenecks = new Float64Array(blockCount + 1);
  sums[0] = 0;
  /** The last block that the segments so far can end at: within a tight limit they do not get far. */
  let reach = 0;
  for (let stage = 0; stage < stageCount; stage++) {
    let nextReach = 0;
    const nextSums = new Float64Array(blockCount + 1).fill(Number.POSITIVE_INFINITY);
    const nextBottlenecks = new Float64Array(blockCount + 1);
    for (let end = table.firstEnd(stage); end <= table.lastEnd(stage); end++) {
      let least = Number.POSITIVE_INFINITY;
      for (let first = Math.min(end - 1, reach); first >= stage; first--) {
        operationCount++;
        if (cost.floor(first, end, stage) > limit) break;
        const sum = sums[first]! + weight(first, end, stage);
        if (sum > least || sum === Number.POSITIVE_INFINITY) continue;
        const own = cost.of(first, end, stage);
        const bottleneck = Math.max(bottlenecks[first]!, own);
        if (own > limit || (sum === least && bottleneck >= nextBottlenecks[end]!)) continue;
        least = sum;
        nextBottlenecks[end] = bottleneck;
        table.set(stage, end, first);
      }
      nextSums[end] = least;
      if (least < Number.POSITIVE_INFINITY) nextReach = end;
    }
    reach = nextReach;
    sums = nextSums;
    bottlenecks = nextBottlenecks;
  }
  const sum = sums[blockCount]!;
  if (sum === Number.POSITIVE_INFINITY) return undefined;
  return { sum, bottleneck: bottlenecks[blockCount]!, starts: table.trace(), operationCount };
}

/** Where the last segment begins, for every number of segments and every end. */
class StartTable {
  readonly #starts: Int32Array;

  constructor(
    readonly blockCount: number,
    readonly stageCount: number,
  ) {
    this.#starts = new Int32Array(stageCount * (blockCount + 1));
  }

  /** Ends that leave at least one block to every segment before and behind; the last segment ends at the last block. */
  firstEnd(stage: number): number {
    return stage === this.stageCount - 1 ? this.blockCount : stage + 1;
  }

  lastEnd(stage: number): number {
    return this.blockCount - (this.stageCount - 1 - stage);
  }

  set(stage: number, end: number, first: number): void {
    this.#starts[stage * (this.blockCount + 1) + end] = first;
  }

  trace(): number[] {
    const starts: number[] = [];
    let end = this.blockCount;
    for (let stage = this.stageCount - 1; stage > 0; stage--) {
      end = this.#starts[stage * (this.blockCount + 1) + end]!;
      starts.unshift(end);
    }
    return starts;
  }
}
