/** From the flat lists of numbers of a run to slices that can be drawn and pointed at. */
import type { PageAction, PageData, PageRun } from '../html/page-data.js';

/** What one worker did for some time; times in milliseconds. */
export interface Slice {
  readonly action: PageAction;
  readonly run: PageRun;
  readonly worker: number;
  readonly startMs: number;
  readonly endMs: number;
}

export interface LivePoint {
  readonly ms: number;
  readonly microBatches: number;
  readonly bytes: number;
}

/** Decodes runs when they are looked at, once. */
export class Slices {
  readonly #data: PageData;
  readonly #slices = new Map<PageRun, readonly (readonly Slice[])[]>();
  readonly #live = new Map<PageRun, readonly (readonly LivePoint[])[]>();

  constructor(data: PageData) {
    this.#data = data;
  }

  /** By worker, each in order of time. */
  of(run: PageRun): readonly (readonly Slice[])[] {
    let slices = this.#slices.get(run);
    if (slices === undefined) {
      slices = run.spans.map((spans, worker) => decode(spans, this.#data.actions, run, worker));
      this.#slices.set(run, slices);
    }
    return slices;
  }

  /** By worker: what it keeps from each point on. */
  live(run: PageRun): readonly (readonly LivePoint[])[] {
    let points = this.#live.get(run);
    if (points === undefined) {
      points = this.of(run).map(slices => livePoints(slices, this.#data));
      this.#live.set(run, points);
    }
    return points;
  }
}

function decode(
  spans: readonly number[],
  actions: readonly PageAction[],
  run: PageRun,
  worker: number,
): Slice[] {
  const slices: Slice[] = [];
  let cursorUs = Math.round(run.startMs * 1e3);
  for (let index = 0; index < spans.length; index += 3) {
    const startUs = cursorUs + spans[index + 1]!;
    cursorUs = startUs + spans[index + 2]!;
    slices.push({
      action: actions[spans[index]!]!,
      run,
      worker,
      startMs: startUs / 1e3,
      endMs: cursorUs / 1e3,
    });
  }
  return slices;
}

function livePoints(slices: readonly Slice[], { stages }: PageData): LivePoint[] {
  const points: LivePoint[] = [];
  let microBatches = 0;
  let bytes = 0;
  for (const { action, run, startMs, endMs } of slices) {
    const change = (ms: number, touched: readonly number[], sign: 1 | -1): void => {
      for (const microBatch of touched) {
        const rows = run.microBatchRows[microBatch];
        if (rows === undefined) continue;
        microBatches += sign;
        bytes += sign * rows * stages[action.stage]!.activationBytesPerSample;
        points.push({ ms, microBatches, bytes });
      }
    };
    change(startMs, action.opens, 1);
    change(endMs, action.closes, -1);
  }
  return points;
}

/** Time of one run that each worker spends in each kind of action, waiting left out. */
export function timeByKind(slices: readonly Slice[]): Map<string, number> {
  const times = new Map<string, number>();
  for (const { action, startMs, endMs } of slices) {
    if (action.kind !== 'receive') times.set(action.kind, (times.get(action.kind) ?? 0) + endMs - startMs);
  }
  return times;
}
