/**
 * Counts tapes: what a forward pass keeps for its backward pass, as opposed to the stage's input, from which it can be made again.
 *
 * Without recomputation every live micro-batch has its tape. With it, the forward pass drops its tape at once, and the
 * recomputation makes it again, to be kept until W.
 */
import type { Program } from '../../../protocol/action.js';
import { addRecompute, type RecomputeMode } from '../lower/recompute.js';
import { isCompute, LastUses } from './last-use.js';
import { peakLive } from './live.js';

/** Most tapes of each stage at once; what a forward pass makes only to drop it counts while it runs. */
export function peakTapes(orders: readonly Program[], recompute: RecomputeMode): readonly number[] {
  if (recompute === 'never') return peakLive(orders).ofStage;
  const peaks: number[] = [];
  for (const order of orders) countTapes(addRecompute(order, recompute), peaks);
  return Array.from(peaks, peak => peak ?? 0);
}

function countTapes(program: Program, peaks: number[]): void {
  const key = (stage: number, microBatch: number): string => `${stage} ${microBatch}`;
  const recomputed = new Set(
    program.flatMap(action =>
      action.kind === 'recompute' ? [key(action.stage, action.microBatches[0]!)] : [],
    ),
  );
  const lastUses = new LastUses(program);
  const tapes = new Map<number, number>();
  program.forEach((action, index) => {
    if (!isCompute(action)) return;
    const { kind, stage, microBatches } = action;
    for (const microBatch of microBatches) {
      const kept = tapes.get(stage) ?? 0;
      const isMade = kind === 'forward' || kind === 'recompute';
      if (isMade) peaks[stage] = Math.max(peaks[stage] ?? 0, kept + 1);
      const isDropped =
        (kind === 'forward' && recomputed.has(key(stage, microBatch))) ||
        lastUses.indexOf(stage, microBatch) === index;
      tapes.set(stage, kept + (isMade ? 1 : 0) - (isDropped ? 1 : 0));
    }
  });
}
