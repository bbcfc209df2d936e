/** Moves the cuts of a partition to where a schedule is faster, which no balance of stages alone can tell. */
import type { Cuts } from './problem.js';

/** What refining needs to know of a plan at some cuts. */
export interface JudgedCuts {
  readonly cuts: Cuts;
  readonly periodMs: number;
}

export interface RefineOptions<Plan extends JudgedCuts> {
  /** Ascending; where cuts may be. */
  readonly allowedCuts: readonly number[];
  /** `undefined` where the cuts cannot be used. */
  readonly judge: (cuts: Cuts) => Plan | undefined;
  /** Part of the time that all moves together must save. */
  readonly leastGain: number;
  /** Calls of `judge` at the most. */
  readonly mostTrials: number;
}

/**
 * Steepest descent: of all ways to move one cut to the next place allowed, the best is taken, as long as it gains anything and
 * there are trials left for all of them. With one cut, times that fall and then rise along its places, and trials enough, that ends at the best of all.
 */
export function refineCuts<Plan extends JudgedCuts>(
  start: Plan,
  { allowedCuts, judge, leastGain, mostTrials }: RefineOptions<Plan>,
): Plan {
  let best = start;
  const seen = new Set([start.cuts.join()]);
  for (;;) {
    const fresh = neighbours(best.cuts, allowedCuts).filter(cuts => !seen.has(cuts.join()));
    if (seen.size - 1 + fresh.length > mostTrials) break;
    let next = best;
    for (const cuts of fresh) {
      seen.add(cuts.join());
      const judged = judge(cuts);
      if (judged !== undefined && judged.periodMs < next.periodMs) next = judged;
    }
    if (next === best) break;
    best = next;
  }
  return best.periodMs < start.periodMs * (1 - leastGain) ? best : start;
}

/** All cuts that differ in one, moved to the next place allowed. */
function neighbours(cuts: Cuts, allowedCuts: readonly number[]): Cuts[] {
  return cuts.flatMap((cut, index) => {
    const place = allowedCuts.indexOf(cut);
    return [allowedCuts[place - 1], allowedCuts[place + 1]]
      .filter(moved => moved !== undefined)
      .filter(
        moved => moved > (cuts[index - 1] ?? 0) && moved < (cuts[index + 1] ?? Number.POSITIVE_INFINITY),
      )
      .map(moved => cuts.with(index, moved));
  });
}
