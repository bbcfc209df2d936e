/** Prediction beside measurement: of whole steps, of workers, and of each kind of action of a stage. */
import { median } from '../../median.js';
import type { ActionKind } from '../../protocol/action.js';
import type { ActionRecord } from '../../scheduler/driver/events.js';
import type { TimelineRun, TimelineStep } from './steps.js';

/** A time that was predicted and measured; either is `undefined` where it is not known. */
export interface Compared {
  readonly predictedMs: number | undefined;
  readonly measuredMs: number | undefined;
  /** (measured − predicted) / predicted. */
  readonly error: number | undefined;
}

/** Times of a timeline, predicted and measured. */
export interface TimelineComparison extends Compared {
  /** Samples of the mini-batches that are compared: those of most steps. */
  readonly rows: number;
  /** Idle time of all workers / (workers × period). */
  readonly predictedBubble: number | undefined;
  /** The same, as measured; waiting for messages and for the driver is idle. */
  readonly measuredBubble: number | undefined;
  /** Period of every step that has one. */
  readonly steps: readonly (Compared & { readonly step: number })[];
  /** Time of each worker in anything but waiting, for one mini-batch. */
  readonly workers: readonly (Compared & { readonly worker: number })[];
  /** One call of each kind of action, by stage. */
  readonly calls: readonly (Compared & { readonly stage: number; readonly kind: ActionKind })[];
}

export interface ComparisonParts {
  readonly workerCount: number;
  readonly rows: number;
  readonly steps: readonly TimelineStep[];
  /** A mini-batch in the steady state; `undefined` where the plan was made without measuring. */
  readonly predicted: { readonly run: TimelineRun; readonly periodMs: number } | undefined;
}

/** Measured values are medians over the steps of `rows` samples. */
export function compare({ workerCount, rows, steps, predicted }: ComparisonParts): TimelineComparison {
  const alike = steps.filter(step => step.rows === rows);
  const busy = alike.map(({ actions }) => busyByWorker(actions, workerCount));
  const periods = alike.flatMap(({ periodMs }) => periodMs ?? []);
  const bubbles = alike.flatMap(({ periodMs }, index) =>
    periodMs === undefined ? [] : bubble(busy[index]!, periodMs),
  );
  const predictedBusy = predicted && busyByWorker(predicted.run.actions, workerCount);
  const { periodMs: predictedMs } = predicted ?? {};
  return {
    rows,
    ...compared(predictedMs, median(periods)),
    predictedBubble: predicted && bubble(predictedBusy!, predicted.periodMs),
    measuredBubble: median(bubbles),
    steps: alike.flatMap(({ step, periodMs }) =>
      periodMs === undefined ? [] : [{ step, ...compared(predictedMs, periodMs) }],
    ),
    workers: Array.from({ length: workerCount }, (_, worker) => ({
      worker,
      ...compared(predictedBusy?.[worker], median(busy.map(times => times[worker]!))),
    })),
    calls: compareCalls(
      predicted?.run.actions ?? [],
      alike.flatMap(({ actions }) => actions),
    ),
  };
}

/** Samples of most steps; of the later ones if there is a draw. */
export function usualRows(steps: readonly { readonly rows: number }[]): number | undefined {
  const counts = new Map<number, number>();
  for (const { rows } of steps) counts.set(rows, (counts.get(rows) ?? 0) + 1);
  let usual: number | undefined;
  for (const [rows, count] of counts) if (usual === undefined || count >= counts.get(usual)!) usual = rows;
  return usual;
}

function compared(predictedMs: number | undefined, measuredMs: number | undefined): Compared {
  const isKnown = predictedMs !== undefined && measuredMs !== undefined && predictedMs > 0;
  return { predictedMs, measuredMs, error: isKnown ? (measuredMs - predictedMs) / predictedMs : undefined };
}

/** A receive is waiting. */
function busyByWorker(actions: readonly ActionRecord[], workerCount: number): number[] {
  const busy = new Array<number>(workerCount).fill(0);
  for (const { action, worker, startMs, endMs } of actions) {
    if (action.kind !== 'receive') busy[worker]! += endMs - startMs;
  }
  return busy;
}

function bubble(busy: readonly number[], periodMs: number): number {
  return Math.max(0, 1 - busy.reduce((sum, ms) => sum + ms, 0) / (busy.length * periodMs));
}

function compareCalls(predicted: readonly ActionRecord[], measured: readonly ActionRecord[]) {
  const [expected, seen] = [predicted, measured].map(callsOf);
  return [...new Set([...expected!.keys(), ...seen!.keys()])]
    .map(key => {
      const [stage, kind] = key.split(' ') as [string, ActionKind];
      return {
        stage: Number(stage),
        kind,
        ...compared(median(expected!.get(key) ?? []), median(seen!.get(key) ?? [])),
      };
    })
    .sort((a, b) => a.stage - b.stage);
}

function callsOf(actions: readonly ActionRecord[]): Map<string, number[]> {
  const calls = new Map<string, number[]>();
  for (const { action, startMs, endMs } of actions) {
    if (action.kind === 'receive') continue;
    const key = `${action.stage} ${action.kind}`;
    const list = calls.get(key);
    if (list === undefined) calls.set(key, [endMs - startMs]);
    else list.push(endMs - startMs);
  }
  return calls;
}
