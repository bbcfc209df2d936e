/**
 * What the page is given, as JSON. Both sides read these types: this file fills them in, `../page` draws them.
 *
 * A timeline of 64 workers has hundreds of thousands of actions, so each distinct action stands once in a table, and what a
 * worker did is a flat list of numbers.
 */
import { formatBytes, formatCount } from '../../units.js';
import type { TimelineComparison } from '../comparison.js';
import type { TimelineData } from '../data.js';
import { liveChanges } from '../live.js';
import { actionsByWorker, type TimelineRun, type TimelineStep } from '../steps.js';

export interface PageAction {
  readonly kind: string;
  /** Of the model: copies of a stage have one number. */
  readonly stage: number;
  readonly replica: number;
  readonly microBatches: readonly number[];
  readonly pass?: string;
  readonly peer?: number | 'driver';
  /** Micro-batches whose activations are kept from its start, and until its end. */
  readonly opens: readonly number[];
  readonly closes: readonly number[];
}

export interface PageRun {
  readonly step?: number;
  readonly epoch?: number;
  readonly batch?: number;
  readonly loss?: number;
  readonly periodMs?: number;
  readonly rows: number;
  readonly microBatchRows: readonly number[];
  readonly startMs: number;
  readonly endMs: number;
  /**
   * By worker: for each action its place in `PageData.actions`, the time since the end of the one before (of the first: since
   * `startMs`, which may be negative), and its duration; in whole microseconds.
   */
  readonly spans: readonly (readonly number[])[];
}

export interface PageStage {
  readonly stage: number;
  readonly worker: number;
  readonly layers: readonly string[];
  readonly parameters: string;
  readonly weights: string;
  readonly activationBytesPerSample: number;
}

export interface PageData {
  readonly modelName: string;
  /** A line under the title. */
  readonly facts: readonly string[];
  readonly notes: readonly string[];
  readonly workers: number;
  readonly stages: readonly PageStage[];
  readonly actions: readonly PageAction[];
  readonly measured: readonly PageRun[];
  /** Three in a row; the one in the middle starts at 0. */
  readonly predicted: readonly PageRun[];
  readonly predictedPeriodMs: number;
  readonly isMeasured: boolean;
  readonly comparison: TimelineComparison;
}

export function pageData(timeline: TimelineData): PageData {
  const { modelName, plan, steps, predicted, comparison } = timeline;
  const actions: PageAction[] = [];
  const places = new Map<object, number>();
  const encode = (run: TimelineRun): PageRun => {
    return {
      rows: run.rows,
      microBatchRows: run.microBatchRows,
      startMs: rounded(run.startMs),
      endMs: rounded(run.endMs),
      spans: actionsByWorker(run, plan.workers).map(records => {
        const changes = liveChanges(records.map(({ action }) => action));
        let cursorUs = Math.round(run.startMs * 1e3);
        return records.flatMap(({ action, startMs, endMs }, index) => {
          let place = places.get(action);
          if (place === undefined) {
            const { kind, stage } = action;
            place =
              actions.push({
                kind,
                stage: stage % plan.stages.length,
                replica: Math.floor(stage / plan.stages.length),
                microBatches: action.kind === 'step' ? [] : action.microBatches,
                ...('pass' in action && { pass: action.pass, peer: action.peer }),
                ...changes[index]!,
              }) - 1;
            places.set(action, place);
          }
          const startUs = Math.round(startMs * 1e3);
          const endUs = Math.max(startUs, Math.round(endMs * 1e3));
          const span = [place, startUs - cursorUs, endUs - startUs];
          cursorUs = endUs;
          return span;
        });
      }),
    };
  };
  return {
    modelName,
    facts: factsOf(timeline),
    notes: notesOf(timeline),
    workers: plan.workers,
    stages: plan.stages.map(stage => ({
      stage: stage.stage,
      worker: stage.worker,
      layers: stage.layers,
      parameters: formatCount(stage.parameters),
      weights: formatBytes(stage.weightBytes),
      activationBytesPerSample: stage.activationBytesPerSample,
    })),
    measured: steps.map(step => ({ ...encode(step), ...placeOf(step) })),
    predicted: predicted.runs.map(encode),
    actions,
    predictedPeriodMs: rounded(predicted.periodMs),
    isMeasured: predicted.isMeasured,
    comparison,
  };
}

function placeOf({ step, epoch, batch, logs, periodMs }: TimelineStep) {
  return {
    step,
    ...(epoch !== undefined && { epoch }),
    ...(batch !== undefined && { batch }),
    ...(logs['loss'] !== undefined && { loss: logs['loss'] }),
    ...(periodMs !== undefined && { periodMs: rounded(periodMs) }),
  };
}

function factsOf({ plan, comparison, cores }: TimelineData): string[] {
  const count = (number: number, noun: string, ending = 's'): string =>
    `${formatCount(number)} ${noun}${number === 1 ? '' : ending}`;
  return [
    `${plan.backend} ${plan.backendVersion}`,
    `schedule ${plan.schedule.name}`,
    count(plan.stages.length, 'stage'),
    `${count(plan.workers, 'worker')} on ${count(cores, 'core')}`,
    count(plan.microBatches, 'micro-batch', 'es'),
    ...(comparison.rows > 0 ? [`mini-batches of ${formatCount(comparison.rows)}`] : []),
    ...(plan.recompute === 'never' ? [] : [`recompute ${plan.recompute}`]),
  ];
}

function notesOf({ plan, steps, predicted, cores }: TimelineData): string[] {
  const notes: string[] = [];
  if (steps.length === 0) notes.push('Nothing was trained: this is what the plan expects.');
  if (!predicted.isMeasured) {
    notes.push(
      'The plan was made without measuring the layers, because nothing was left to decide. The prediction is drawn with forward, ' +
        `backward and weight gradient equally long${steps.length === 0 ? ', one millisecond each' : ', at the pace of the measured steps'}.`,
    );
  }
  if (plan.workers > cores) {
    notes.push(
      `${plan.workers} workers share ${cores} cores. The prediction gives each a core of its own, so the measured steps take longer.`,
    );
  }
  return notes;
}

function rounded(ms: number): number {
  return Math.round(ms * 1e3) / 1e3;
}
