#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench:scaling`: the step time of every way to use 1, 2, 4, 8 and 16 workers, as far as there are cores.
 *
 *   npm run bench:scaling -- --models mlp,cnn --workers 1,2,4 --json scaling.jsonl
 *
 * One trainer after another in one process, each for about a second and a half; the faster of two stretches counts, because
 * other programs only ever make one slower.
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import * as tf from '@tensorflow/tfjs';
import { Command } from 'commander';
import { MODEL_SPECS } from './models/build.mjs';
import { withTrainer } from './run/trainer.mjs';

const STRETCH_MS = 700;
const WARM_UP_STEPS = 4;

const list = (/** @type {string} */ text) => text.split(',');
const cores = availableParallelism();
const { models, workers, json } = new Command('bench:scaling')
  .description('Times replicas, stages and both on more and more workers.')
  .option('--models <names>', `of ${Object.keys(MODEL_SPECS).join(', ')}`, list, Object.keys(MODEL_SPECS))
  .option(
    '--workers <counts>',
    'numbers of workers',
    text => list(text).map(Number),
    [1, 2, 4, 8, 16].filter(count => count <= cores),
  )
  .option('--json <file>', 'write one JSON object a line to this file')
  .parse()
  .opts();

tf.enableProdMode();
if (json !== undefined) writeFileSync(json, '');
for (const name of models) {
  for (const count of workers) {
    for (const [plan, options] of plansOf(count)) {
      const row = await measure(name, options)
        .then(found => ({ model: name, plan, workers: count, ...found }))
        .catch(error => ({ model: name, plan, workers: count, refused: String(error.message) }));
      console.log(JSON.stringify(row));
      if (json !== undefined) appendFileSync(json, `${JSON.stringify(row)}\n`);
    }
  }
}

/**
 * @param {number} workers
 * @returns {[string, import('millrace').PipelineOptions][]}
 */
function plansOf(workers) {
  if (workers === 1) return [['1-stage', { stages: 1, workers }]];
  const plans = /** @type {[string, import('millrace').PipelineOptions][]} */ ([
    ['replicas', { replicas: workers, workers }],
    ['stages', { stages: workers, workers }],
  ]);
  if (workers >= 4 && workers % 2 === 0) {
    plans.push(['replicas of 2 stages', { replicas: workers / 2, stages: 2, workers }]);
  }
  return plans;
}

/**
 * @param {string} name of the model
 * @param {import('millrace').PipelineOptions} options
 */
function measure(name, options) {
  const spec = /** @type {import('./models/build.mjs').ModelSpec} */ (MODEL_SPECS[name]);
  return withTrainer(spec, options, async (trainer, train) => {
    await train(WARM_UP_STEPS);
    const steps = Math.max(WARM_UP_STEPS, Math.round(STRETCH_MS / (await train(WARM_UP_STEPS))));
    const ms = Math.min(await train(steps), await train(steps));
    const { microBatches, prediction } = trainer.plan;
    return { msPerStep: ms, predictedMs: prediction?.periodMs, microBatches, steps };
  });
}
