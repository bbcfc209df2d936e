// @ts-check
/** docs/equality.md: what the random models of one run have shown, written by `npm run test:equality`. */
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * One process's share of a run. Without `tallies` some model in it failed.
 * @typedef {{ backend: string, count: number, seed: number, tallies: Record<string, { count: number, largest: number }> | undefined }} Piece
 */

const KINDS = {
  loss: 'losses of an epoch',
  metric: 'metrics of an epoch',
  weight: 'weights after training',
  update: 'what training added to them',
  score: '`evaluate`',
  output: '`predict`',
  'loss (adaptive)': 'losses under Adam, RMSProp, Adagrad, Adadelta',
};

/**
 * @param {string} root of the clone
 * @param {readonly Piece[]} pieces that have run
 * @param {number} wanted models of the whole run
 */
export function writeReport(root, pieces, wanted) {
  const version = packageVersion(root);
  const backends = [...new Set(pieces.map(({ backend }) => backend))];
  const ran = sum(pieces.map(({ count }) => count));
  const failed = pieces.filter(({ tallies }) => tallies === undefined);
  const lines = [
    '# Equality with plain tfjs: random models',
    '',
    'Written by `npm run test:equality`; do not edit. Each model has random layers, branches, shared layers, inputs, outputs, losses, metrics,',
    'frozen parts, penalties, masks, data, batch sizes and a random plan, and is trained as a pipeline and by plain tfjs on the same backend.',
    '',
    `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${os.platform()} ${os.arch()}, @tensorflow/tfjs ${version('@tensorflow/tfjs')}, ` +
      `tfjs-backend-wasm ${version('@tensorflow/tfjs-backend-wasm')}, tfjs-node ${version('@tensorflow/tfjs-node')}.`,
    '',
    `**${format(ran)} models**${ran < wanted ? ` of ${format(wanted)} that were asked for: the run was broken off` : ''}; ` +
      `seeds ${pieces[0]?.seed} to ${pieces.at(-1)?.seed}, ${pieces[0]?.count} models each. ` +
      (failed.length === 0
        ? 'None differed by more than sums in another order do.'
        : `**Some model failed for seed ${failed.map(({ seed, backend }) => `${seed} (${backend})`).join(', ')}.**`),
    '',
    `| largest ‖Δ‖₂ / ‖reference‖₂ (results compared) | ${backends.map(name => `${name}, ${format(sum(pieces.filter(({ backend }) => backend === name).map(({ count }) => count)))} models`).join(' | ')} |`,
    `|---|${backends.map(() => '---|').join('')}`,
    ...Object.entries(KINDS).map(
      ([kind, text]) => `| ${text} | ${backends.map(backend => cell(pieces, backend, kind)).join(' | ')} |`,
    ),
    '',
    'A difference fails above 1e-5 (adaptive optimizers: 1e-3) of the reference plus a small absolute part: 1e-6 an element, for updates also the',
    'rounding of the weight at every step, which is why small updates may differ by more. References below 1e-3 are checked but not listed. Every',
    'model must also leave as many tensors in the workers and in the main thread as there were.',
    ...sensitiveLines(pieces),
  ];
  writeFileSync(path.join(root, 'docs/equality.md'), `${lines.join('\n')}\n`);
}

/**
 * Models that no comparison can judge; `sensitivity.ts` beside the random models says how they are told.
 * @param {readonly Piece[]} pieces
 */
function sensitiveLines(pieces) {
  const count = sum(pieces.map(({ tallies }) => tallies?.['too sensitive']?.count ?? 0));
  if (count === 0) return [];
  return [
    '',
    `Training ${count} of the models is too sensitive to compare: plain tfjs itself moves at least a tenth as far when the first weights are`,
    'moved by one unit of rounding. Such models diverge, or stand on a kink of an activation or at a prediction of length zero under a cosine.',
  ];
}

/**
 * @param {readonly Piece[]} pieces
 * @param {string} backend
 * @param {string} kind
 */
function cell(pieces, backend, kind) {
  const tallies = pieces.flatMap(piece => (piece.backend === backend && piece.tallies?.[kind]) || []);
  if (tallies.length === 0) return '–';
  const largest = Math.max(...tallies.map(tally => tally.largest));
  return `${largest.toExponential(1)} (${format(sum(tallies.map(({ count }) => count)))})`;
}

/** @param {string} root */
function packageVersion(root) {
  return (/** @type {string} */ name) => {
    const file = path.join(root, 'node_modules', name, 'package.json');
    try {
      return JSON.parse(readFileSync(file, 'utf8')).version;
    } catch {
      return 'not installed';
    }
  };
}

/** @param {readonly number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

/** @param {number} count */
function format(count) {
  return count.toLocaleString('en');
}
