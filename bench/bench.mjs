#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench`: Millrace beside every peer, in one interleaved run.
 *
 *   npm run bench -- --quick --models mlp,cnn --peers millrace,tfjs-node --json results.jsonl
 *
 * A whole run (all models and peers, not quick) also writes docs/performance.md, or the page that `--page` names.
 */
import { accessSync, appendFileSync, constants, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { Command } from 'commander';
import { MODEL_SPECS } from './models/build.mjs';
import { race } from './run/race.mjs';
import { formatResults, writePerformancePage } from './run/report.mjs';
import { hasTorch } from './run/systems.mjs';

const SYSTEMS = [
  'millrace',
  'tfjs-node',
  'tfjs-node-1-thread',
  'tfjs-wasm',
  'torch',
  'torch-pipelining',
  'limit',
];

const list = (/** @type {string} */ text) => text.split(',');
const command = new Command('bench')
  .description('Times training steps of Millrace and its peers, side by side in one run.')
  .option('--json <file>', 'write one JSON object a line to this file')
  .option('--page <file>', 'the page that a whole run writes, in place of docs/performance.md')
  .option('--models <names>', `of ${Object.keys(MODEL_SPECS).join(', ')}`, list)
  .option('--peers <names>', `of ${SYSTEMS.join(', ')}`, list)
  .option('--quick', 'fewer and shorter rounds', false)
  .option('--rounds <count>', 'rounds a model', Number)
  .parse();
const { json, page, models = Object.keys(MODEL_SPECS), peers, quick, rounds } = command.opts();
for (const [what, names, known] of [
  ['model', models, Object.keys(MODEL_SPECS)],
  ['peer', peers ?? [], SYSTEMS],
]) {
  const unknown = names.find((/** @type {string} */ name) => !known.includes(name));
  if (unknown !== undefined)
    command.error(`There is no ${what} '${unknown}'. There are ${known.join(', ')}.`);
}
const isWhole = !quick && peers === undefined && models.length === Object.keys(MODEL_SPECS).length;
if (page !== undefined) {
  if (!isWhole) command.error('Only a whole run writes a page: --page goes with no other choice.');
  // Now, not after an hour.
  accessSync(path.dirname(page), constants.W_OK);
}

tf.enableProdMode();
if (!hasTorch()) console.log('PyTorch is absent: `npm run bench:setup` gets it.');
if (json !== undefined) writeFileSync(json, '');
/** @type {import('./run/race.mjs').Row[]} */
const rows = [];
const startMs = performance.now();
const measurement = { rounds: rounds ?? (quick ? 3 : 5), stretchMs: quick ? 600 : 1_000 };
for (const name of models) {
  console.log(`${name}: ${MODEL_SPECS[name]?.title}`);
  const own = await race(name, {
    systems: peers,
    ...measurement,
    say: line => console.log(line),
  });
  rows.push(...own);
  if (json !== undefined) for (const row of own) appendFileSync(json, `${JSON.stringify(row)}\n`);
  console.log(`\n${formatResults(own)}\n`);
}
console.log(`${((performance.now() - startMs) / 60_000).toFixed(1)} minutes`);
if (isWhole) writePerformancePage(rows, measurement, { file: page });
