// @ts-check
/** What the measurements of the schedules say, as text. */
import { formatTable } from '#internal/report/table.js';

/** @typedef {import('./measure.mjs').ScheduleResult} ScheduleResult */

/** @param {readonly ScheduleResult[]} results */
export function schedulesText(results) {
  const columns = [
    'workers',
    'schedule',
    'simulated, ms',
    'measured, ms',
    'idle, simulated',
    'idle, measured',
  ];
  const rows = results.map(({ name, workerCount, simulated, measured }) => [
    String(workerCount),
    name,
    simulated.makespanMs.toFixed(0),
    measured.makespanMs.toFixed(0),
    percent(simulated.idleShare),
    percent(measured.idleShare),
  ]);
  const table = formatTable(
    columns.map((title, column) => ({ title, align: column === 1 ? 'left' : 'right' })),
    rows,
  );
  return [table, ...verdicts(results)].join('\n');
}

/** @param {readonly ScheduleResult[]} results */
function verdicts(results) {
  return [...new Set(results.map(({ workerCount }) => workerCount))].flatMap(workerCount => {
    const find = (/** @type {string} */ wanted) =>
      results.find(({ name, workerCount: count }) => name === wanted && count === workerCount);
    const [plain, delayed] = [find('1f1b'), find('zero-bubble')];
    if (plain === undefined || delayed === undefined) return [];
    const isLower = delayed.measured.idleShare < plain.measured.idleShare;
    return [
      `${workerCount} workers: zero-bubble idles for ${percent(delayed.measured.idleShare)}, 1f1b for ` +
        `${percent(plain.measured.idleShare)}; asked is less: ${isLower ? 'met' : '**falls short**'}.`,
    ];
  });
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
