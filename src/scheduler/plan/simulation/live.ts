/**
 * Counts live micro-batches: from the start of F to the end of the last use (W in training).
 *
 * A worker does one thing at a time, so the count follows from its order alone, whatever the actions cost. It
 * also starts from zero in every mini-batch, because all of one mini-batch's work precedes the next one's.
 */
import type { Program } from '../../../protocol/action.js';
import { LastUses } from './last-use.js';

export interface LivePeaks {
  /** Indexed by stage. */
  readonly ofStage: readonly number[];
  /** Summed over a worker's stages; indexed by worker. */
  readonly ofWorker: readonly number[];
}

export function peakLive(programs: readonly Program[]): LivePeaks {
  const ofStage: number[] = [];
  const ofWorker = programs.map(program => {
    let workerPeak = 0;
    walkLive(program, (_, stage, liveOfStage, liveOfWorker) => {
      ofStage[stage] = Math.max(ofStage[stage] ?? 0, liveOfStage);
      workerPeak = Math.max(workerPeak, liveOfWorker);
    });
    return workerPeak;
  });
  return { ofStage: Array.from(ofStage, peak => peak ?? 0), ofWorker };
}

/** Calls back at every F with the counts that it raises. */
export function walkLive(
  program: Program,
  onForward: (index: number, stage: number, liveOfStage: number, liveOfWorker: number) => void,
): void {
  const lastUses = new LastUses(program);
  const live = new Map<number, number>();
  let total = 0;
  program.forEach((action, index) => {
    if (action.kind === 'send' || action.kind === 'receive' || action.kind === 'step') return;
    const { stage } = action;
    for (const microBatch of action.microBatches) {
      if (action.kind === 'forward') {
        total++;
        live.set(stage, (live.get(stage) ?? 0) + 1);
        onForward(index, stage, live.get(stage)!, total);
      }
      if (lastUses.indexOf(stage, microBatch) === index) {
        total--;
        live.set(stage, (live.get(stage) ?? 0) - 1);
      }
    }
  });
}
