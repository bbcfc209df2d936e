// @ts-check
/** The text of docs/performance.md, from the rows of one run. */
import { MODEL_SPECS } from '../models/build.mjs';
import { COMPARISONS, compare } from './comparisons.mjs';
import { table, wrap } from './markdown.mjs';

/** @typedef {import('./race.mjs').Row} Row */
/** @typedef {import('./comparisons.mjs').Compared} Compared */
/** @typedef {import('./comparisons.mjs').Line} Line */

/**
 * @typedef {object} Measurement
 * @property {number} rounds
 * @property {number} stretchMs
 */

const NONE = '–';
const NOT_MEASURED = 'Not measured in this run.';

/**
 * @param {readonly Row[]} rows
 * @param {import('./machine.mjs').Facts} facts
 * @param {Measurement} measurement
 * @returns {string}
 */
export function pageText(rows, facts, measurement) {
  const compared = COMPARISONS.map(comparison => compare(comparison, rows));
  return `${[
    ...introduction(facts, measurement),
    ...absentModels(rows),
    '## Summary',
    wrap(
      `A ratio is the other's time divided by Millrace's: above 1, Millrace is faster. Means are geometric, over ${countedModels().join(', ')}, ` +
        'beside PyTorch over lstm-sigmoid in place of lstm. Other models are shown, and counted only where none may be slower than plain tfjs.',
    ),
    summaryTable(compared),
    '## Ratios',
    ...compared.flatMap(ratioSection),
    '## Milliseconds a step',
    'Median of the rounds, with the fastest and the slowest round.',
    ...timeSections(rows),
    '## Plans',
    wrap(
      'What ran: pieces of the model, micro-batches, schedule. Two stages are asked for; everything else is decided by measuring.',
    ),
    planTable(rows),
    '## Start-up',
    wrap(
      'Milliseconds for building the model, `pipeline()` and the first training step, in a process that has loaded its libraries and closed another trainer.',
    ),
    startTable(rows),
  ].join('\n\n')}\n`;
}

/** @param {import('./machine.mjs').Facts} facts @param {Measurement} measurement */
function introduction({ date, cpu, cores, memoryGib, platform, versions }, { rounds, stretchMs }) {
  return [
    '# Performance',
    'Written by `npm run bench`; do not edit. The programs and what they compare are described in `bench/README.md`.',
    wrap(
      'Times vary from machine to machine and from day to day; the ratios of systems that ran in turn vary less, and they are what to quote.',
    ),
    wrap(`${date}, ${cpu}, ${cores} cores, ${memoryGib} GiB of memory, ${platform}.`),
    wrap(
      `${Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}.`,
    ),
    '## How it was measured',
    wrap(
      'Every system is a process of its own. For one model all of them are started and warmed up, `auto` until its plan is settled, and each until four stretches in a row are no faster than those before (V8 compiles for ten seconds or more), or for 30 s; then they take turns (those on wasm afterwards, among themselves), ' +
        `${rounds} rounds of about ${(stretchMs / 1_000).toFixed(1)} s each or ten steps if those take up to 2 s, with a pause and as many untimed steps before each, so that whatever disturbs the machine hits all alike and nobody is timed while it wakes up. ` +
        'Quoted is the median of the rounds.',
    ),
    wrap(
      'All train from the same weights on the same samples, with Adam. Before anything is timed, each takes three steps of SGD and its weights are compared ' +
        'with those of tfjs-node; who computes something else is left out.',
    ),
    wrap(
      "Models with batch normalization run in two stages with `batchNorm: 'micro-batch'`: each micro-batch is normalized by its own statistics, " +
        'as in torch.distributed.pipelining. Their check runs with one micro-batch.',
    ),
    wrap(
      "The transformer's self-attention is a layer of the benchmark's own, written in tfjs operations. Millrace is told so by `tracedLayers` and runs it as graphs; " +
        'PyTorch has an attention of its own.',
    ),
    table(
      ['model', 'what', 'batch size'],
      Object.entries(MODEL_SPECS).map(([name, { title, batch }]) => [modelLabel(name), title, String(batch)]),
      2,
    ),
  ];
}

/** @param {readonly Row[]} rows */
function absentModels(rows) {
  const absent = Object.keys(MODEL_SPECS).filter(name => !rows.some(({ model }) => model === name));
  return absent.length === 0 ? [] : [wrap(`**Not in this run:** ${absent.join(', ')}.`)];
}

/** One LSTM of the two counts in any mean; the other stands in where a peer has no such gates. */
function countedModels() {
  return Object.keys(MODEL_SPECS).filter(
    name => MODEL_SPECS[name]?.uncounted !== true && name !== 'lstm-sigmoid',
  );
}

/** @param {readonly Compared[]} compared */
function summaryTable(compared) {
  const rows = compared
    .filter(({ least }) => least !== undefined)
    .map(result => {
      const { comparison, mean, least } = result;
      return [
        comparison.title,
        comparison.mean === undefined ? NONE : ratio(mean),
        meanAsked(result),
        `${ratio(least?.ratio)} (${least?.model})`,
        eachAsked(result),
      ];
    });
  if (rows.length === 0) return NOT_MEASURED;
  return table(['', 'mean ratio', 'asked', 'smallest ratio', 'asked of each'], rows);
}

/** @param {Compared} result */
function ratioSection(result) {
  const { comparison, lines, mean, countedCount, missing } = result;
  const parts = [`### ${comparison.title}`, wrap(comparison.about)];
  if (!lines.some(line => line.ratio !== undefined || line.cannotTrain)) return [...parts, NOT_MEASURED];
  const hasAsked = comparison.each !== undefined || typeof comparison.mean === 'number';
  const rows = lines.map(line => [
    modelLabel(line.model, line.isCounted),
    ms(line.ours),
    line.cannotTrain ? 'cannot train' : ms(line.theirs),
    ratio(line.ratio),
    ...(hasAsked ? [lineAsked(comparison, line)] : []),
  ]);
  if (comparison.mean !== undefined) {
    rows.push([
      `**mean of ${countedCount}**`,
      '',
      '',
      `**${ratio(mean)}**`,
      ...(hasAsked ? [meanAsked(result)] : []),
    ]);
  }
  const titles = ['model', 'Millrace, ms', `${comparison.peer}, ms`, 'ratio', ...(hasAsked ? ['asked'] : [])];
  parts.push(table(titles, rows));
  if (missing.length > 0) parts.push(`Counted, but not measured on both sides: ${missing.join(', ')}.`);
  return parts;
}

/** @param {Compared} result */
function meanAsked({ comparison, mean, missing }) {
  return typeof comparison.mean === 'number' ? asked(comparison.mean, mean, missing) : NONE;
}

const SAME_PLAN = 'met, by the same plan';

/** @param {Compared} result */
function eachAsked({ comparison, lines, missing }) {
  const { each } = comparison;
  if (each === undefined) return NONE;
  const compared = lines.filter(line => isAskedOf(comparison, line) && line.ratio !== undefined);
  const others = compared.filter(({ isSamePlan }) => !isSamePlan);
  const missed = missing.filter(model => comparison.eachOf?.includes(model) !== false);
  const ofSome = comparison.eachOf === undefined ? '' : `of ${comparison.eachOf.join(', ')} `;
  if (others.length === 0 && compared.length > 0) {
    return `${ofSome}${rule(each)}: ${missed.length > 0 ? 'not all measured' : SAME_PLAN}`;
  }
  const ratios = others.map(line => /** @type {number} */ (line.ratio));
  return ofSome + asked(each, ratios.length === 0 ? undefined : Math.min(...ratios), missed);
}

/**
 * @param {import('./comparisons.mjs').Comparison} comparison
 * @param {Line} line
 */
function lineAsked(comparison, line) {
  const { each } = comparison;
  if (each === undefined || !isAskedOf(comparison, line)) return NONE;
  return line.isSamePlan ? `${rule(each)}: ${SAME_PLAN}` : asked(each, line.ratio, []);
}

/**
 * @param {import('./comparisons.mjs').Comparison} comparison
 * @param {Line} line
 */
function isAskedOf({ eachOf }, { model, isCounted }) {
  return isCounted && eachOf?.includes(model) !== false;
}

/** @param {number} least */
function rule(least) {
  return `≥ ${least.toFixed(2)}`;
}

/**
 * @param {number} least
 * @param {number | undefined} reached
 * @param {readonly string[]} missing counted models without a ratio
 */
function asked(least, reached, missing) {
  if (reached === undefined) return `${rule(least)}: not measured`;
  if (reached < least) return `${rule(least)}: **falls short**`;
  return `${rule(least)}: ${missing.length > 0 ? 'not all measured' : 'met'}`;
}

/** @param {readonly Row[]} rows */
function timeSections(rows) {
  return distinct(rows.map(({ backend }) => backend)).flatMap(backend => {
    const own = rows.filter(row => row.backend === backend);
    const columns = distinct(own.map(systemLabel));
    return [
      `### ${backend}`,
      table(
        ['model', ...columns],
        modelsOf(own).map(model => [
          modelLabel(model),
          ...columns.map(column => {
            const row = own.find(each => each.model === model && systemLabel(each) === column);
            return row === undefined ? NONE : spreadText(row.msPerStep);
          }),
        ]),
      ),
    ];
  });
}

/** @param {readonly Row[]} rows */
function planTable(rows) {
  const planned = rows.filter(
    ({ system, plan }) => system === 'torch-pipelining' || (system === 'millrace' && plan !== '1-stage'),
  );
  return cells(planned, ({ stages, microBatches, schedule }) => `${stages}, ${microBatches}, ${schedule}`);
}

/** @param {readonly Row[]} rows */
function startTable(rows) {
  const started = rows.filter(({ system, startMs }) => system === 'millrace' && startMs !== undefined);
  return cells(started, ({ startMs }) => /** @type {number} */ (startMs).toFixed(0));
}

/**
 * Models down, systems with their backends across.
 * @param {readonly Row[]} rows
 * @param {(row: Row) => string} cell
 */
function cells(rows, cell) {
  if (rows.length === 0) return NOT_MEASURED;
  const columnOf = (/** @type {Row} */ row) =>
    row.backend === 'torch' ? systemLabel(row) : `${row.backend}, ${systemLabel(row)}`;
  const columns = distinct(rows.map(columnOf));
  return table(
    ['model', ...columns],
    modelsOf(rows).map(model => [
      modelLabel(model),
      ...columns.map(column => {
        const row = rows.find(each => each.model === model && columnOf(each) === column);
        return row === undefined ? NONE : cell(row);
      }),
    ]),
  );
}

/** @param {Row} row */
export function systemLabel({ system, plan }) {
  return system === 'millrace' ? `Millrace ${plan}` : [system, plan].filter(part => part !== null).join(' ');
}

/** @param {readonly Row[]} rows */
function modelsOf(rows) {
  return distinct(rows.map(({ model }) => model));
}

/** @param {string} name */
function modelLabel(name, isCounted = MODEL_SPECS[name]?.uncounted !== true) {
  return isCounted ? name : `${name} (not counted)`;
}

/** @param {number | undefined} value */
function ms(value) {
  return value === undefined ? NONE : value.toFixed(2);
}

/** @param {number | undefined} value */
function ratio(value) {
  return value === undefined ? NONE : value.toFixed(2);
}

/** @param {Row['msPerStep']} spread */
export function spreadText({ median, min, max }) {
  return `${ms(median)} (${ms(min)}–${ms(max)})`;
}

/** @param {readonly string[]} values */
function distinct(values) {
  return [...new Set(values)];
}
