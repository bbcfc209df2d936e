#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench:memory`: a model that no worker may hold whole. Which plans keep within a limit of each worker, and how fast those
 * train that do.
 *
 * A whole run (not quick) also writes its section of docs/performance.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { Command } from 'commander';
import { describeRun } from './run/machine.mjs';
import { table, withSection, wrap } from './run/markdown.mjs';
import { PERFORMANCE_PAGE } from './run/report.mjs';
import { settle } from './run/settle.mjs';
import { spread } from './run/statistics.mjs';
import { withTrainer } from './run/trainer.mjs';

const WIDTH = 2_048;
const HIDDEN = 4;
/** 17 million weights: 268 MB with gradients and Adam's two slots. */
const SPEC = {
  title: `MLP ${WIDTH}×${HIDDEN + 1}-10`,
  batch: 64,
  input: [WIDTH],
  classes: 10,
  layers: [
    ...Array.from({ length: HIDDEN }, () => ({ kind: 'dense', units: WIDTH, activation: 'relu' })),
    { kind: 'dense', units: 10, activation: 'softmax' },
  ],
};
const LIMIT_BYTES = 160e6;
const WARM_UP_STEPS = 3;
const MEGABYTE = 1e6;

/** @type {readonly (readonly [string, import('millrace').PipelineOptions])[]} */
const PLANS = [
  ['one worker', { stages: 1, workers: 1 }],
  ['two replicas', { replicas: 2, workers: 2 }],
  ['two stages', { stages: 2, workers: 2 }],
  ['`auto`', {}],
];

const { quick } = new Command('bench:memory')
  .description('Trains a model of 268 MB where each worker may hold 160.')
  .option('--quick', 'fewer steps; docs/performance.md stays as it is', false)
  .parse()
  .opts();
const [rounds, steps] = quick ? [1, 3] : [5, 12];

tf.enableProdMode();
const rows = [];
for (const [plan, options] of PLANS) {
  const free = await measure(options);
  const limited = await measure({ ...options, memoryLimit: LIMIT_BYTES }).catch(
    error => /** @type {Error} */ (error),
  );
  rows.push([plan, free.shape, free.bytes, free.ms, ...describeLimited(limited)]);
}
const section = [
  wrap(
    `${facts()} ${SPEC.title}, batch ${SPEC.batch}, Adam, tensorflow. Without a limit, and with one of ${LIMIT_BYTES / MEGABYTE} MB for each worker. ` +
      'The bytes are those of the worker that holds most, as estimated: weights, gradients, slots and activations. Replicas share the slots among them, ' +
      'stages everything. Times are milliseconds a step, the median of the rounds.',
  ),
  table(
    [
      'plan',
      'what runs',
      'MB a worker',
      'ms',
      `what runs in ${LIMIT_BYTES / MEGABYTE} MB`,
      'MB a worker',
      'ms',
    ],
    rows,
    2,
  ),
].join('\n\n');
console.log(section);
if (!quick) {
  const page = existsSync(PERFORMANCE_PAGE) ? readFileSync(PERFORMANCE_PAGE, 'utf8') : '# Performance\n';
  writeFileSync(PERFORMANCE_PAGE, withSection(page, 'memory', section));
}

/**
 * @param {import('millrace').PipelineOptions} options
 * @returns {Promise<{ shape: string, bytes: string, ms: string }>}
 */
function measure(options) {
  return withTrainer(SPEC, { backend: 'tensorflow', cache: false, ...options }, async (trainer, train) => {
    await train(WARM_UP_STEPS);
    await settle(
      () => trainer.plan.isSettled,
      () => train(steps),
    );
    const times = [];
    for (let round = 0; round < rounds; round++) times.push(await train(steps));
    const { replicas, stages, workerBytes } = trainer.plan;
    return {
      shape: `${replicas} × ${stages.length} stage${stages.length === 1 ? '' : 's'}`,
      bytes: (Math.max(...workerBytes) / MEGABYTE).toFixed(0),
      ms: spread(times).median.toFixed(1),
    };
  });
}

/** @param {Awaited<ReturnType<typeof measure>> | Error} limited */
function describeLimited(limited) {
  if (!(limited instanceof Error)) return [limited.shape, limited.bytes, limited.ms];
  // Whatever else may go wrong is no finding about memory.
  if (!('path' in limited && limited.path === 'memoryLimit')) throw limited;
  return ['refused', '–', '–'];
}

function facts() {
  const { date, cpu, cores, versions } = describeRun();
  return `${date}, ${cpu}, ${cores} cores, Node ${versions['Node']}, TensorFlow ${versions['TensorFlow']}.`;
}
