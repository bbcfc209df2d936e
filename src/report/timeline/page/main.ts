/** The page: reads its data, lays itself out, and shows one mini-batch after the other. */
import type { PageData, PageRun } from '../html/page-data.js';
import { element, scrolled, section } from './dom.js';
import { formatBytes, formatLoss, formatMs, formatShare } from './format.js';
import { Colours, legend } from './kinds.js';
import { Lanes, type LanesParts } from './lanes.js';
import { MemoryPainter, type MemoryUnit } from './memory-painter.js';
import { type Scene, SlicePainter } from './slice-painter.js';
import { type Slice, Slices } from './slices.js';
import { stageTable } from './stage-table.js';
import { StepChart } from './step-chart.js';
import { tiles } from './tiles.js';
import { TimeWindow } from './time-window.js';
import { Toolbar } from './toolbar.js';
import { Tooltip } from './tooltip.js';
import { WorkerTable } from './worker-table.js';

/** Of the mini-batch that is looked at, what is shown of the time before and after it. */
const CONTEXT = 0.06;

const data = JSON.parse(document.getElementById('timeline')!.textContent!) as PageData;
const { measured, predicted, comparison, workers } = data;
const slices = new Slices(data);
const colours = new Colours();
const shown = new TimeWindow();
const tooltip = new Tooltip();

/** Of the prediction alone nothing is known of waiting but that it is idle. */
const kinds = new Set(
  data.actions.map(({ kind }) => kind).filter(kind => measured.length > 0 || kind !== 'receive'),
);
const namesStages = data.stages.length > new Set(data.stages.map(({ worker }) => worker)).size;
const expectedRun = predicted[1]!;

/** The first look goes to an ordinary step: one that took as long as the median. */
function ordinaryRun(): PageRun | undefined {
  const { measuredMs, rows } = comparison;
  const alike = measured.filter(run => run.rows === rows && run.periodMs !== undefined);
  const distance = (run: PageRun): number => Math.abs(run.periodMs! - (measuredMs ?? 0));
  return alike.sort((a, b) => distance(a) - distance(b))[0] ?? measured.at(-1);
}

const callTimes = new Map(comparison.calls.map(call => [`${call.stage} ${call.kind}`, call]));
function callOf({ action }: Slice) {
  return callTimes.get(`${action.stage} ${action.kind}`);
}

function sliceLanes(
  parts: Pick<LanesParts, 'id' | 'title' | 'description'>,
  scene: Scene,
  other: (slice: Slice) => readonly [string, string] | undefined,
) {
  const painter = new SlicePainter(
    {
      data,
      slices,
      colours,
      window: shown,
      namesStages,
      other,
      onChoose: (tip, x, y) => {
        const place = lanes.onScreen(x, y);
        tooltip.show(tip, place.x, place.y);
      },
    },
    scene,
  );
  const lanes = new Lanes({ ...parts, workers, window: shown, colours, tooltip, painter });
  return { lanes, painter };
}

const first = ordinaryRun();
const measuredLanes =
  first &&
  sliceLanes(
    {
      id: 'measured',
      title: 'Measured',
      description: `Measured schedule of ${workers} workers. The arrow keys go from action to action.`,
    },
    { runs: measured, chosen: first },
    slice => {
      const ms = callOf(slice)?.predictedMs;
      return ms === undefined ? undefined : ['expected', formatMs(ms)];
    },
  );
const predictedLanes = sliceLanes(
  {
    id: 'predicted',
    title: data.isMeasured ? 'Predicted' : 'Predicted at unit cost',
    description: `Predicted schedule of ${workers} workers. The arrow keys go from action to action.`,
  },
  { runs: predicted, chosen: expectedRun },
  slice => {
    const ms = callOf(slice)?.measuredMs;
    return ms === undefined ? undefined : ['measured, median', formatMs(ms)];
  },
);
predictedLanes.lanes.say(
  `${data.isMeasured ? `${formatMs(data.predictedPeriodMs)} from mini-batch to mini-batch` : 'forward, backward and weight gradient drawn equally long'}`,
);

const memoryPainter = new MemoryPainter(slices, colours);
const memoryLanes = new Lanes({
  id: 'memory',
  title: first === undefined ? 'Kept activations, predicted' : 'Kept activations',
  description: `Activations that each of ${workers} workers keeps, over time.`,
  workers,
  window: shown,
  colours,
  tooltip,
  painter: memoryPainter,
});

function sayPeaks(): void {
  const { microBatches, bytes } = memoryPainter.peaks();
  memoryLanes.say(
    memoryPainter.unit === 'bytes'
      ? `full height: ${formatBytes(bytes)}`
      : `full height: ${microBatches} micro-batch${microBatches === 1 ? '' : 'es'}`,
  );
}

const units: readonly (readonly [MemoryUnit, string])[] = [
  ['microBatches', 'micro-batches'],
  ['bytes', 'bytes'],
];
const unitChoice = element(
  'label',
  { class: 'choice' },
  'show ',
  element(
    'select',
    { id: 'memory-unit' },
    ...units.map(([value, name]) => element('option', { value }, name)),
  ),
);
unitChoice.querySelector('select')!.addEventListener('change', event => {
  memoryPainter.unit = (event.target as HTMLSelectElement).value as MemoryUnit;
  sayPeaks();
  shown.changed();
});

const workerTable = new WorkerTable(data, slices);
const workersNote = element('p', { class: 'note' });
const toolbar = new Toolbar({ window: shown, runs: measured, onChoose: choose });
const charts =
  measured.length === 0
    ? []
    : [
        new StepChart({
          id: 'loss',
          title: 'Loss',
          runs: measured,
          read: run => run.loss,
          format: formatLoss,
          colour: '--weights',
          onChoose: choose,
        }),
        ...(measured.some(run => run.periodMs !== undefined)
          ? [
              new StepChart({
                id: 'periods',
                title:
                  comparison.predictedMs === undefined
                    ? 'Time of a step'
                    : 'Time of a step; dashed: predicted',
                runs: measured,
                read: run => run.periodMs,
                format: formatMs,
                colour: '--forward',
                startsAtZero: true,
                expected: comparison.predictedMs,
                onChoose: choose,
              }),
            ]
          : []),
      ];

function choose(run: PageRun): void {
  tooltip.hide();
  toolbar.show(run);
  measuredLanes?.painter.show({ runs: measured, chosen: run });
  measuredLanes?.lanes.say(
    run.periodMs === undefined
      ? `step ${run.step}`
      : `step ${run.step}, ${formatMs(run.periodMs)} after the one before`,
  );
  for (const chart of charts) chart.show(run);
  lookAt(run);
}

/** Fits the window to a mini-batch, as measured and as expected. */
function lookAt(run: PageRun): void {
  const isMeasured = run !== expectedRun;
  memoryPainter.show(isMeasured ? measured : predicted, run.startMs);
  sayPeaks();
  workerTable.show(isMeasured ? run : undefined);
  workersNote.textContent = isMeasured
    ? `Of step ${run.step}${run.periodMs === undefined ? ', whose bars are as long as it took from first to last' : ''}. What is left of a bar is idle: waiting for messages and for the next mini-batch.`
    : 'What is left of a bar is idle: waiting for messages.';
  const lastMs = Math.max(run.endMs - run.startMs, expectedRun.endMs - expectedRun.startMs);
  const around = isMeasured ? measured : predicted;
  shown.setHome(
    { fromMs: -CONTEXT * lastMs, toMs: (1 + CONTEXT) * lastMs },
    {
      fromMs: Math.min(around[0]!.startMs - run.startMs, predicted[0]!.startMs) - lastMs * CONTEXT,
      toMs: Math.max(around.at(-1)!.endMs - run.startMs, predicted.at(-1)!.endMs) + lastMs * CONTEXT,
    },
  );
}

const intro = element(
  'header',
  {},
  element('h1', {}, data.modelName),
  element('p', { class: 'facts' }, ...data.facts.map(fact => element('span', {}, fact))),
  ...data.notes.map(note => element('p', { class: 'notice' }, note)),
  tiles(data, slices),
);
const schedule = section(
  'schedule',
  'Schedule',
  toolbar.root,
  legend(kinds),
  ...(measuredLanes === undefined ? [] : [measuredLanes.lanes.root]),
  predictedLanes.lanes.root,
  memoryLanes.root,
  element(
    'p',
    { class: 'note', id: 'keys' },
    'Ctrl and wheel (or a pinch) goes nearer, dragging or Shift and wheel moves, a double click shows all again. With the keyboard: ' +
      'arrows go from action to action, + and − go nearer and away, Shift and arrows move, 0 shows all. ' +
      `Pale actions belong to the mini-batches before and after.${namesStages ? ' Every second stage of a worker is drawn lighter.' : ''}`,
  ),
);
memoryLanes.root.querySelector('h3')!.append(unitChoice);

document.body.append(
  element(
    'main',
    {},
    intro,
    schedule,
    ...(charts.length === 0
      ? []
      : [section('steps', 'Steps', element('div', { class: 'charts' }, ...charts.map(({ root }) => root)))]),
    section('workers', 'Workers', scrolled('Workers', workerTable.root), workersNote),
    section(
      'stages',
      'Stages',
      element(
        'div',
        { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Stages' },
        stageTable(data),
      ),
      element(
        'p',
        { class: 'note' },
        `One call of each kind, the median${comparison.predictedMs === undefined || measured.length === 0 ? '' : '; below it the prediction, and how far from it that is'}${comparison.predictedBubble === undefined ? '' : `; the schedule leaves ${formatShare(comparison.predictedBubble)} idle by prediction`}. ` +
          'Bytes of activations are those of what layers read and make; what they keep inside comes on top.',
      ),
    ),
  ),
  tooltip.root,
);

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  colours.forget();
  shown.changed();
});
if (first === undefined) lookAt(expectedRun);
else choose(first);
document.body.dataset['ready'] = 'true';
