#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench:fits`: whole fits with everything included (start-up of the workers, measuring, trying of plans, getting the
 * weights back), against plain tfjs-node with the better of its default threads and one.
 *
 *   npm run bench:fits -- --models mlp,cnn --seconds 5,30 --json fits.jsonl
 */
import { execFile } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { formatTable } from '#internal/report/table.js';
import { MODEL_SPECS } from './models/build.mjs';
import { ONE_THREAD } from './run/systems.mjs';

/** Most that a fit may take of plain tfjs's time, by the seconds that plain tfjs takes. */
const ASKED = new Map([
  [5, 1.5],
  [30, 1],
]);
/** Steps of the shorter of two fits whose difference tells what a step takes: start-up and first steps are in both. */
const FIRST_PROBE = 5;
/** The difference is to be so long, so that it tells more than what start-up differs by. */
const PROBED_MS = 1_000;

const program = fileURLToPath(new URL('fits/fit.mjs', import.meta.url));
const list = (/** @type {string} */ text) => text.split(',');
const { models, seconds, json } = new Command('bench:fits')
  .description('Times whole fits without any option, beside plain tfjs-node.')
  .option('--models <names>', `of ${Object.keys(MODEL_SPECS).join(', ')}`, list, Object.keys(MODEL_SPECS))
  .option('--seconds <counts>', 'how long plain tfjs is to take', text => list(text).map(Number), [5, 30])
  .option('--json <file>', 'write one JSON object a line to this file')
  .parse()
  .opts();

if (json !== undefined) writeFileSync(json, '');
/** @type {{ model: string, wanted: number, steps: number, plainMs: number, autoMs: number, plan: string }[]} */
const rows = [];
for (const name of models) {
  const [env, msPerStep] = await betterThreads(name);
  for (const wanted of seconds) {
    const steps = Math.max(1, Math.round((1_000 * wanted) / msPerStep));
    const plain = await timeFit('plain', name, steps, env);
    const auto = await timeFit('auto', name, steps, {});
    const row = {
      model: name,
      wanted,
      steps: plain.steps,
      plainMs: plain.ms,
      autoMs: auto.ms,
      plan: auto.plan,
    };
    rows.push(row);
    console.log(JSON.stringify(row));
    if (json !== undefined) appendFileSync(json, `${JSON.stringify(row)}\n`);
  }
}
report();

/**
 * @param {string} name
 * @returns {Promise<[Record<string, string>, number]>} the environment that plain tfjs is faster in, and its time of a step
 */
async function betterThreads(name) {
  /** @type {[Record<string, string>, number][]} */
  const found = [];
  for (const env of [{}, ONE_THREAD]) {
    found.push([env, await stepMsOf(name, env)]);
  }
  return /** @type {[Record<string, string>, number]} */ (found.sort((one, other) => one[1] - other[1])[0]);
}

/**
 * @param {string} name
 * @param {Record<string, string>} env
 */
async function stepMsOf(name, env) {
  const { ms } = await timeFit('plain', name, FIRST_PROBE, env);
  for (let steps = 4 * FIRST_PROBE; ; steps *= 4) {
    const longer = await timeFit('plain', name, steps, env);
    if (longer.ms - ms >= PROBED_MS) return (longer.ms - ms) / (longer.steps - FIRST_PROBE);
  }
}

/** @typedef {{ ms: number, plan: string, steps: number }} Fit */

/**
 * @param {'plain' | 'auto'} system
 * @param {string} name
 * @param {number} steps
 * @param {Record<string, string>} env
 * @returns {Promise<Fit>}
 */
async function timeFit(system, name, steps, env) {
  const { stdout } = await promisify(execFile)(process.execPath, [program, system, name, String(steps)], {
    env: { ...process.env, ...env },
  });
  return JSON.parse(/** @type {string} */ (stdout.trim().split('\n').at(-1)));
}

function report() {
  const columns = ['model', 'steps', 'tfjs-node, s', 'pipeline, s', 'share', 'replicas × stages'];
  const table = formatTable(
    columns.map((title, column) => ({ title, align: column === 0 ? 'left' : 'right' })),
    rows.map(({ model, steps, plainMs, autoMs, plan }) => [
      model,
      String(steps),
      (plainMs / 1_000).toFixed(1),
      (autoMs / 1_000).toFixed(1),
      (autoMs / plainMs).toFixed(2),
      plan,
    ]),
  );
  console.log(`\n${table}`);
  for (const [wanted, most] of ASKED) {
    const shares = rows.filter(row => row.wanted === wanted).map(({ autoMs, plainMs }) => autoMs / plainMs);
    if (shares.length === 0) continue;
    const largest = Math.max(...shares);
    console.log(
      `Of a fit of ${wanted} seconds at most ${largest.toFixed(2)}; asked is at most ${most}: ${largest <= most ? 'met' : '**falls short**'}.`,
    );
  }
}
