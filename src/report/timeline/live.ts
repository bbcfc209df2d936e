/**
 * How many micro-batches each worker keeps, from what it ran: a micro-batch is live on a stage from the start of its F to the
 * end of its last backward action. Their bytes are those of what the stage's layers read and make, so a lower bound.
 */
import type { Action } from '../../protocol/action.js';
import type { ActionRecord } from '../../scheduler/driver/events.js';
import { isCompute, LastUses } from '../../scheduler/plan/index.js';

/** What a worker keeps from `ms` on, until the next one. */
export interface LivePoint {
  readonly ms: number;
  readonly microBatches: number;
  readonly bytes: number;
}

/** Micro-batches that an action is the first, or the last, to touch on its stage. */
export interface LiveChange {
  readonly opens: readonly number[];
  readonly closes: readonly number[];
}

/** @param actions those of one worker for one mini-batch, in order */
export function liveChanges(actions: readonly Action[]): LiveChange[] {
  const lastUses = new LastUses(actions);
  return actions.map((action, index) => {
    if (!isCompute(action)) return { opens: [], closes: [] };
    const { kind, stage, microBatches } = action;
    return {
      opens: kind === 'forward' ? microBatches : [],
      closes: microBatches.filter(microBatch => lastUses.indexOf(stage, microBatch) === index),
    };
  });
}

/**
 * @param own what one worker did in one mini-batch, in order
 * @param microBatchRows samples of each micro-batch
 * @param bytesPerSample by stage; stages beyond the last one are copies of them
 */
export function livePoints(
  own: readonly ActionRecord[],
  microBatchRows: readonly number[],
  bytesPerSample: readonly number[],
): LivePoint[] {
  const changes = liveChanges(own.map(({ action }) => action));
  const points: LivePoint[] = [];
  let microBatches = 0;
  let bytes = 0;
  for (const [index, { action, startMs, endMs }] of own.entries()) {
    const bytesPerRow = bytesPerSample[action.stage % bytesPerSample.length]!;
    const change = (ms: number, touched: readonly number[], sign: 1 | -1): void => {
      const there = touched.filter(microBatch => microBatch < microBatchRows.length);
      if (there.length === 0) return;
      microBatches += sign * there.length;
      for (const microBatch of there) bytes += sign * microBatchRows[microBatch]! * bytesPerRow;
      points.push({ ms, microBatches, bytes });
    };
    change(startMs, changes[index]!.opens, 1);
    change(endMs, changes[index]!.closes, -1);
  }
  return points;
}
