/** `trainer.plan` as text: which engine and why, the order of work, and what every stage holds. */
import type { Plan, StagePlan } from '../plan.js';
import type { Prediction } from '../scheduler/plan/index.js';
import { type Column, formatTable } from './table.js';
import { formatBytes, formatCount, formatMs, formatShare } from './units.js';

const UNKNOWN = '–';

/** Beyond this, the names in the middle are left out: the first and the last one tell where a stage is cut. */
const MOST_NAMED_LAYERS = 4;

const COLUMNS: readonly { readonly column: Column; readonly cell: (stage: StagePlan) => string }[] = [
  { column: { title: 'stage', align: 'right' }, cell: ({ stage }) => String(stage) },
  { column: { title: 'worker', align: 'right' }, cell: ({ worker }) => String(worker) },
  { column: { title: 'layers', align: 'left' }, cell: ({ layers }) => layerNames(layers) },
  { column: { title: 'parameters', align: 'right' }, cell: ({ parameters }) => formatCount(parameters) },
  { column: { title: 'weights', align: 'right' }, cell: ({ weightBytes }) => formatBytes(weightBytes) },
  {
    column: { title: 'in/sample', align: 'right' },
    cell: ({ stage, incomingBytesPerSample }) =>
      stage === 0 ? UNKNOWN : formatBytes(incomingBytesPerSample),
  },
  {
    column: { title: 'share of time', align: 'right' },
    cell: ({ share }) => (share === undefined ? UNKNOWN : formatShare(share)),
  },
];

/**
 * Draws a plan as a table for people: a line for the backend with the reason for it, one for the schedule, one for
 * memory, one for what is predicted, and a row for every stage. `in/sample` is what enters the stage from earlier ones; the share of time is the predicted one.
 */
export function formatPlan(plan: Plan): string {
  const { backend, backendVersion, backendReason, schedule, workers, recompute, workerBytes, prediction } =
    plan;
  return [
    `backend   ${backend} ${backendVersion} (${backendReason})`,
    `schedule  ${schedule.name}, ${parts(plan)}, ${plural(workers, 'worker', 's')}, recompute ${recompute}`,
    `memory    ${formatBytes(Math.max(...workerBytes))} in the fullest worker, by estimate, besides its engine`,
    ...(prediction === undefined ? [] : [`predicted ${formatPrediction(prediction)}`]),
    '',
    formatTable(
      COLUMNS.map(({ column }) => column),
      plan.stages.map(stage => COLUMNS.map(({ cell }) => cell(stage))),
    ),
  ].join('\n');
}

function parts({ replicas, microBatches }: Plan): string {
  if (replicas === 1) return `${plural(microBatches, 'micro-batch', 'es')} a mini-batch`;
  return `${plural(replicas, 'replica', 's')} with ${plural(microBatches, 'micro-batch', 'es')} each`;
}

function formatPrediction({ rows, periodMs, makespanMs, bubbleFraction }: Prediction): string {
  return (
    `${formatMs(periodMs)} a mini-batch of ${formatCount(rows)}, ${formatShare(bubbleFraction)} of the workers' time idle; ` +
    `a mini-batch alone takes ${formatMs(makespanMs)}`
  );
}

function layerNames(names: readonly string[]): string {
  if (names.length <= MOST_NAMED_LAYERS) return names.join(', ');
  const [first, second] = names;
  return `${first}, ${second}, … ${names.at(-1)} (${names.length})`;
}

function plural(count: number, noun: string, ending: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : ending}`;
}
