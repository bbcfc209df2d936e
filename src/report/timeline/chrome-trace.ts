/**
 * A timeline in the Trace Event Format of Chrome, which Perfetto and chrome://tracing open.
 *
 * Two processes, `measured` and `predicted`, with a thread for each worker; counters for what each worker keeps and for the
 * loss; an arrow from every send to its receive. Format: "Trace Event Format", docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
 */
import type { Action, ActionKind } from '../../protocol/action.js';
import { PASS_LETTERS } from '../../protocol/action-text.js';
import type { TimelineData } from './data.js';
import { livePoints } from './live.js';
import { actionsByWorker, type TimelineRun } from './steps.js';

/** One event; times in microseconds. */
export interface ChromeTraceEvent {
  readonly name: string;
  /** X: a slice, C: a counter, s and f: ends of an arrow, M: a name. */
  readonly ph: 'X' | 'C' | 's' | 'f' | 'M';
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly id?: number;
  /** Of the end of an arrow: it belongs to the slice around it. */
  readonly bp?: 'e';
  readonly args?: Readonly<Record<string, unknown>>;
}

/** What `JSON.stringify` makes a trace file of. */
export interface ChromeTrace {
  readonly traceEvents: readonly ChromeTraceEvent[];
  readonly displayTimeUnit: 'ms';
  readonly otherData: Readonly<Record<string, unknown>>;
}

const PROCESSES = { measured: 1, predicted: 2 } as const;

const LETTERS: Readonly<Record<Exclude<ActionKind, 'send' | 'receive'>, string>> = {
  forward: 'F',
  backwardInput: 'B',
  backwardWeight: 'W',
  recompute: 'R',
  step: 'step',
};

export function toChromeTrace(timeline: TimelineData): ChromeTrace {
  const { plan, steps, predicted, modelName } = timeline;
  const stageCount = plan.stages.length;
  const bytesPerSample = plan.stages.map(stage => stage.activationBytesPerSample);
  let arrowCount = 0;
  const draw = (pid: number, run: TimelineRun, facts: Record<string, unknown>): ChromeTraceEvent[] => {
    const arrows = new Map<string, number>();
    const slices = run.actions.flatMap(({ action, worker, startMs, endMs }): ChromeTraceEvent[] => {
      const place = { pid, tid: worker };
      const slice: ChromeTraceEvent = {
        name: nameOf(action),
        cat: action.kind,
        ph: 'X',
        ...place,
        ts: startMs * 1e3,
        dur: (endMs - startMs) * 1e3,
        args: { ...argsOf(action, stageCount), ...facts },
      };
      const key = messageKey(action);
      if (key === undefined) return [slice];
      const id = arrows.get(key) ?? arrows.set(key, arrowCount++).get(key)!;
      const arrow = { name: 'message', cat: 'message', id, ...place };
      // An arrow hangs on the slice around its time, so not on the edge.
      return action.kind === 'send'
        ? [slice, { ...arrow, ph: 's', ts: ((startMs + endMs) / 2) * 1e3 }]
        : [slice, { ...arrow, ph: 'f', bp: 'e', ts: (startMs * 1e-3 + endMs * (1 - 1e-3)) * 1e3 }];
    });
    return slices;
  };
  const counters = (pid: number, run: TimelineRun): ChromeTraceEvent[] =>
    actionsByWorker(run, plan.workers).flatMap((own, worker) =>
      livePoints(own, run.microBatchRows, bytesPerSample).flatMap(
        ({ ms, microBatches, bytes }): ChromeTraceEvent[] => {
          const counter = { ph: 'C', pid, tid: worker, ts: ms * 1e3 } as const;
          return [
            { name: `worker ${worker} live micro-batches`, ...counter, args: { microBatches } },
            { name: `worker ${worker} activation bytes`, ...counter, args: { bytes } },
          ];
        },
      ),
    );
  const { measured: measuredPid, predicted: predictedPid } = PROCESSES;
  return {
    traceEvents: [
      ...(steps.length === 0 ? [] : names(measuredPid, 'measured', plan.workers)),
      ...steps.flatMap(step => {
        const { loss } = step.logs;
        return [
          ...draw(measuredPid, step, { step: step.step, epoch: step.epoch, batch: step.batch }),
          ...counters(measuredPid, step),
          ...(loss === undefined ? [] : [lossCounter(measuredPid, step.endMs, loss)]),
        ];
      }),
      ...names(predictedPid, predicted.isMeasured ? 'predicted' : 'predicted at unit cost', plan.workers),
      ...predicted.runs.flatMap(run => [...draw(predictedPid, run, {}), ...counters(predictedPid, run)]),
    ],
    displayTimeUnit: 'ms',
    otherData: { model: modelName, schedule: plan.schedule.name, backend: plan.backend },
  };
}

function names(pid: number, process: string, workers: number): ChromeTraceEvent[] {
  const entry = (name: string, tid: number, args: Record<string, unknown>): ChromeTraceEvent => ({
    name,
    ph: 'M',
    pid,
    tid,
    ts: 0,
    args,
  });
  return [
    entry('process_name', 0, { name: process }),
    entry('process_sort_index', 0, { sort_index: pid }),
    ...Array.from({ length: workers }, (_, worker) => [
      entry('thread_name', worker, { name: `worker ${worker}` }),
      entry('thread_sort_index', worker, { sort_index: worker }),
    ]).flat(),
  ];
}

function lossCounter(pid: number, ms: number, loss: number): ChromeTraceEvent {
  return { name: 'loss', ph: 'C', pid, tid: 0, ts: ms * 1e3, args: { loss } };
}

/** `F3`, `W0,1`, `send F3`, `wait for B2`: those that differ in their numbers alone get one colour. */
function nameOf(action: Action): string {
  if (action.kind === 'step') return LETTERS.step;
  const microBatches = action.microBatches.join(',');
  if (action.kind === 'send') return `send ${PASS_LETTERS[action.pass]}${microBatches}`;
  if (action.kind === 'receive') return `wait for ${PASS_LETTERS[action.pass]}${microBatches}`;
  return `${LETTERS[action.kind]}${microBatches}`;
}

function argsOf(action: Action, stageCount: number): Record<string, unknown> {
  return {
    stage: action.stage % stageCount,
    replica: Math.floor(action.stage / stageCount),
    ...('microBatches' in action && { microBatches: action.microBatches.join(', ') }),
    ...('pass' in action && { pass: action.pass, peer: action.peer }),
  };
}

/** The same for a send and its receive; `undefined` for what the driver sends or is sent. */
function messageKey(action: Action): string | undefined {
  if ((action.kind !== 'send' && action.kind !== 'receive') || action.peer === 'driver') return undefined;
  const [from, to] = action.kind === 'send' ? [action.stage, action.peer] : [action.peer, action.stage];
  return `${from}>${to} ${action.pass} ${action.microBatches.join(',')}`;
}
