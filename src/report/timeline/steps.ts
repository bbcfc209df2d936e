/** Training steps as a timeline shows them: what the recorder has kept, and what the simulator expects, in one form. */
import type { Action } from '../../protocol/action.js';
import type { ActionRecord } from '../../scheduler/driver/events.js';
import type { PlanPrediction } from '../../scheduler/driver/predict-plan.js';
import type { RecordedStep } from '../../scheduler/driver/step-recorder.js';
import { isCompute } from '../../scheduler/plan/index.js';

/** The actions of one mini-batch. */
export interface TimelineRun {
  readonly rows: number;
  /** Samples of each micro-batch. */
  readonly microBatchRows: readonly number[];
  /** First start of a computation, in milliseconds from the timeline's origin. */
  readonly startMs: number;
  /** Last end of an action. */
  readonly endMs: number;
  /** Worker by worker, each in the order in which it ran; times from the timeline's origin. */
  readonly actions: readonly ActionRecord[];
}

/** A mini-batch that was trained. */
export interface TimelineStep extends TimelineRun {
  /** Mini-batches since the trainer was made. */
  readonly step: number;
  readonly epoch: number | undefined;
  /** Index of the mini-batch in its epoch. */
  readonly batch: number | undefined;
  /** Loss and metrics by tfjs's names. */
  readonly logs: Readonly<Record<string, number>>;
  /** From the end of the mini-batch before to its own; `undefined` for the first one that is known, and of each epoch. */
  readonly periodMs: number | undefined;
}

/** Mini-batches in the middle of the simulated ones, where the pipeline neither fills nor drains. */
const STEADY = { from: 3, to: 6 } as const;

/** The origin is the first start. */
export function measuredSteps(recorded: readonly RecordedStep[]): TimelineStep[] {
  const actions = recorded.map(actionsOf);
  const originMs = actions.reduce((least, records) => Math.min(least, boundsOf(records).startMs), Infinity);
  const steps: TimelineStep[] = [];
  for (const [index, { step, rows, microBatchRows, outcome }] of recorded.entries()) {
    const moved = shift(actions[index]!, originMs);
    const bounds = boundsOf(moved);
    const before = recorded[index - 1]?.outcome;
    const follows =
      before !== undefined && before.epoch === outcome?.epoch && before.batch + 1 === outcome.batch;
    steps.push({
      step,
      epoch: outcome?.epoch,
      batch: outcome?.batch,
      rows,
      microBatchRows,
      logs: outcome?.logs ?? {},
      ...bounds,
      periodMs: follows ? bounds.endMs - steps[index - 1]!.endMs : undefined,
      actions: moved,
    });
  }
  return steps;
}

/**
 * Three mini-batches in a row, of which the second starts at the origin.
 *
 * @param msPerUnit milliseconds that a unit of the simulation stands for
 */
export function predictedRuns(
  { programs, simulation }: PlanPrediction,
  microBatchRows: readonly number[],
  msPerUnit: number,
): TimelineRun[] {
  const runs = Array.from({ length: STEADY.to - STEADY.from }, (_, index) =>
    programs.flatMap((program, worker) => {
      const { start, end } = simulation.times[worker]!;
      const first = (STEADY.from + index) * program.length;
      return program
        .map((action, position) => ({
          action,
          worker,
          startMs: start[first + position]! * msPerUnit,
          endMs: end[first + position]! * msPerUnit,
        }))
        .filter(({ action }) => takesPart(action, microBatchRows.length));
    }),
  );
  const originMs = boundsOf(runs[1]!).startMs;
  const rows = microBatchRows.reduce((sum, count) => sum + count, 0);
  return runs.map(records => {
    const actions = shift(records, originMs);
    return { rows, microBatchRows, ...boundsOf(actions), actions };
  });
}

function actionsOf({ programs, times, microBatchRows }: RecordedStep): ActionRecord[] {
  let offset = 0;
  return programs.flatMap((program, worker) => {
    const first = offset;
    offset += 2 * program.length;
    return program
      .map((action, index) => ({
        action,
        worker,
        startMs: times[first + 2 * index]!,
        endMs: times[first + 2 * index + 1]!,
      }))
      .filter(({ action }) => takesPart(action, microBatchRows.length));
  });
}

/** A mini-batch with fewer micro-batches than its program was made for skips the actions of those it lacks. */
function takesPart(action: Action, microBatchCount: number): boolean {
  if (action.kind === 'step' || action.microBatches.length === 0) return true;
  return action.microBatches.some(microBatch => microBatch < microBatchCount);
}

function boundsOf(actions: readonly ActionRecord[]): { readonly startMs: number; readonly endMs: number } {
  let startMs = Infinity;
  let endMs = -Infinity;
  for (const { action, ...times } of actions) {
    // A receive starts when its worker begins to wait, which may be long before the mini-batch comes.
    if (isCompute(action)) startMs = Math.min(startMs, times.startMs);
    endMs = Math.max(endMs, times.endMs);
  }
  return { startMs, endMs };
}

/** Each worker's actions, in order. */
export function actionsByWorker({ actions }: TimelineRun, workerCount: number): ActionRecord[][] {
  const own = Array.from({ length: workerCount }, (): ActionRecord[] => []);
  for (const record of actions) own[record.worker]!.push(record);
  return own;
}

function shift(actions: readonly ActionRecord[], originMs: number): ActionRecord[] {
  return actions.map(({ action, worker, startMs, endMs }) => ({
    action,
    worker,
    startMs: startMs - originMs,
    endMs: endMs - originMs,
  }));
}
