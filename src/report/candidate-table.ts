/** The plans that were looked at before one was chosen, as a table for people. */
import type { CandidatePlan, Plan } from '../plan.js';
import { type Column, formatTable } from './table.js';

const UNKNOWN = '–';

const COLUMNS: readonly { readonly column: Column; readonly cell: (plan: CandidatePlan) => string }[] = [
  { column: { title: '', align: 'left' }, cell: ({ isChosen }) => (isChosen ? '→' : '') },
  { column: { title: 'workers', align: 'right' }, cell: ({ workers }) => String(workers) },
  { column: { title: 'replicas', align: 'right' }, cell: ({ replicas }) => String(replicas) },
  { column: { title: 'stages', align: 'right' }, cell: ({ stages }) => String(stages) },
  { column: { title: 'micro-batches', align: 'right' }, cell: ({ microBatches }) => String(microBatches) },
  {
    column: { title: 'schedule', align: 'left' },
    cell: ({ stages, schedule }) => (stages > 1 ? schedule : UNKNOWN),
  },
  {
    column: { title: 'predicted ms/step', align: 'right' },
    cell: ({ predictedMs }) => formatMs(predictedMs),
  },
  { column: { title: 'measured ms/step', align: 'right' }, cell: ({ measuredMs }) => formatMs(measuredMs) },
];

/** A row for every plan, the chosen one marked, under a line that says how far the choice has come. */
export function formatCandidates({ candidates, isSettled }: Pick<Plan, 'candidates' | 'isSettled'>): string {
  if (candidates.length === 0) {
    return isSettled
      ? 'The plan was asked for, or is the only one that trains this model like plain fit().'
      : 'Nothing was measured yet: fit() tries plans on its first steps.';
  }
  return [
    isSettled
      ? 'Chosen among these plans, tried in training or simulated with measured times:'
      : 'The best of these so far; longer training tries more:',
    '',
    formatTable(
      COLUMNS.map(({ column }) => column),
      candidates.map(candidate => COLUMNS.map(({ cell }) => cell(candidate))),
    ),
  ].join('\n');
}

function formatMs(ms: number | undefined): string {
  return ms === undefined ? UNKNOWN : ms.toPrecision(3);
}
