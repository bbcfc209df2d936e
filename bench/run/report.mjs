// @ts-check
/** What a run says at its end: a table a model in the terminal, and docs/performance.md. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatTable } from '#internal/report/table.js';
import { MODEL_SPECS } from '../models/build.mjs';
import { describeRun } from './machine.mjs';
import { sectionOf, withSection } from './markdown.mjs';
import { pageText, spreadText } from './page.mjs';

/** @typedef {import('./race.mjs').Row} Row */

export const PERFORMANCE_PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));

/** @type {readonly import('#internal/report/table.js').Column[]} */
const COLUMNS = [
  { title: 'system', align: 'left' },
  { title: 'backend', align: 'left' },
  { title: 'plan', align: 'left' },
  { title: 'micro-batches', align: 'right' },
  { title: 'ms a step', align: 'right' },
  { title: 'times 2-stage', align: 'right' },
];

/**
 * @param {readonly Row[]} rows of any number of models
 * @returns {string}
 */
export function formatResults(rows) {
  const models = [...new Set(rows.map(({ model }) => model))];
  return models
    .map(model => {
      const own = rows.filter(row => row.model === model);
      const lines = own.map(row => [
        row.system,
        row.backend,
        row.plan ?? '',
        String(row.microBatches ?? ''),
        spreadText(row.msPerStep),
        relativeTime(row, own),
      ]);
      const batch = own[0]?.batch;
      return `${model}: ${MODEL_SPECS[model]?.title}, ${batch} samples a step\n${formatTable(COLUMNS, lines)}`;
    })
    .join('\n\n');
}

/**
 * How many times as long a step takes as Millrace's in two stages on the same backend. PyTorch has no such row of its own
 * and stands beside native TensorFlow.
 * @param {Row} row
 * @param {readonly Row[]} rows of the same model
 */
function relativeTime(row, rows) {
  const backend = row.backend === 'torch' ? 'tensorflow' : row.backend;
  const base = rows.find(
    other => other.system === 'millrace' && other.plan === '2-stage' && other.backend === backend,
  );
  return base === undefined ? '' : (row.msPerStep.median / base.msPerStep.median).toFixed(2);
}

/**
 * Writes the page of one whole run; what `npm run bench:transport` has written into it stays.
 * @param {readonly Row[]} rows
 * @param {import('./page.mjs').Measurement} measurement
 * @param {{ file?: string, facts?: import('./machine.mjs').Facts }} [options]
 */
export function writePerformancePage(
  rows,
  measurement,
  { file = PERFORMANCE_PAGE, facts = describeRun() } = {},
) {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const page = pageText(rows, facts, measurement);
  const withTransport = withSection(page, 'transport', sectionOf(before, 'transport'));
  writeFileSync(file, withSection(withTransport, 'memory', sectionOf(before, 'memory')));
}
