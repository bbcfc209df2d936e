#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench:simulator`: how far off the prediction of a plan is.
 *
 *   npm run bench:simulator -- --models mlp,cnn --json errors.jsonl
 *
 * The layers are measured anew for each model; each plan's prediction is noted before anything is trained with it.
 */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { Command } from 'commander';
import { formatTable } from '#internal/report/table.js';
import { MODEL_SPECS } from './models/build.mjs';
import { median } from './run/statistics.mjs';
import { withTrainer } from './run/trainer.mjs';

/** Asked of the errors. */
const [MEDIAN_LIMIT, LARGEST_LIMIT] = [0.15, 0.3];
const SCHEDULES = /** @type {const} */ (['1f1b', 'zero-bubble']);
const MICRO_BATCHES = [4, 8];
const WARM_UP_STEPS = 4;
const STRETCH_MS = 2_500;

const list = (/** @type {string} */ text) => text.split(',');
const { models, json, calls } = new Command('bench:simulator')
  .description('Compares the predicted step of two-stage plans with the measured one.')
  .option(
    '--models <names>',
    `of ${Object.keys(MODEL_SPECS).join(', ')}`,
    list,
    Object.keys(MODEL_SPECS).filter(name => !MODEL_SPECS[name]?.uncounted),
  )
  .option('--json <file>', 'write one JSON object a line to this file')
  .option('--calls', 'print predicted and measured times of each kind of action too', false)
  .parse()
  .opts();

tf.enableProdMode();
if (json !== undefined) writeFileSync(json, '');
/** @type {{ model: string, schedule: string, microBatches: number, predictedMs: number, measuredMs: number, error: number }[]} */
const rows = [];
for (const name of models) {
  const spec = /** @type {import('./models/build.mjs').ModelSpec} */ (MODEL_SPECS[name]);
  // What is measured is kept for this model's four plans alone.
  const cache = mkdtempSync(join(tmpdir(), 'millrace-profiles-'));
  try {
    for (const schedule of SCHEDULES) {
      for (const microBatches of MICRO_BATCHES) {
        const {
          predictedMs,
          measuredMs,
          calls: compared,
        } = await measure(spec, { schedule, microBatches, cache });
        const row = { model: name, schedule, microBatches, predictedMs, measuredMs };
        rows.push({ ...row, error: measuredMs / predictedMs - 1 });
        if (json !== undefined) appendFileSync(json, `${JSON.stringify(rows.at(-1))}\n`);
        console.log(JSON.stringify(rows.at(-1)));
        if (calls) console.table(compared);
      }
    }
  } finally {
    rmSync(cache, { recursive: true });
  }
}
report();

/**
 * @param {import('./models/build.mjs').ModelSpec} spec
 * @param {import('millrace').PipelineOptions} options
 */
function measure(spec, options) {
  const plan = { stages: 2, timelineSteps: 10_000, ...options };
  return withTrainer(spec, plan, async (trainer, train) => {
    const predictedMs = /** @type {number} */ (trainer.plan.prediction?.periodMs);
    const steps = Math.max(8, Math.round(STRETCH_MS / predictedMs));
    await train(WARM_UP_STEPS);
    await train(steps);
    const { comparison, steps: recorded } = trainer.timeline();
    // Without those that warm up.
    const periods = recorded.slice(-steps).flatMap(({ periodMs }) => periodMs ?? []);
    return { predictedMs, measuredMs: median(periods), calls: comparison.calls };
  });
}

function report() {
  const columns = ['model', 'schedule', 'micro-batches', 'predicted, ms', 'measured, ms', 'error'];
  const table = formatTable(
    columns.map((title, column) => ({ title, align: column < 2 ? 'left' : 'right' })),
    rows.map(({ model, schedule, microBatches, predictedMs, measuredMs, error }) => [
      model,
      schedule,
      String(microBatches),
      predictedMs.toFixed(1),
      measuredMs.toFixed(1),
      percent(error),
    ]),
  );
  const errors = rows.map(({ error }) => Math.abs(error));
  const verdict = (/** @type {number} */ error, /** @type {number} */ limit) =>
    `${percent(error)}; asked is at most ${percent(limit)}: ${error <= limit ? 'met' : '**falls short**'}`;
  console.log(`\n${table}\nMedian error ${verdict(median(errors), MEDIAN_LIMIT)}.`);
  console.log(`Largest error ${verdict(Math.max(...errors), LARGEST_LIMIT)}.`);
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(0)} %`;
}
