// @ts-check
/**
 * Millrace: one trainer with the given options, or as many one-stage trainers as there are cores, all at once (`trainers`),
 * which is what a machine can give at the most.
 */
import * as tf from '@tensorflow/tfjs';
import { pipeline } from 'millrace';
import { MODEL_SPECS, SETUP_MODULE, tracedLayersOf } from '../models/build.mjs';
import { ActionTimes } from './action-times.mjs';
import { serve } from './serve.mjs';
import { check, prepareModel, TimedFit } from './tfjs-job.mjs';

const [optionsJson = '{}', name = '', directory = ''] = process.argv.slice(2);
const { trainers: trainerCount = 1, ...options } = JSON.parse(optionsJson);
const spec = /** @type {import('../models/build.mjs').ModelSpec} */ (MODEL_SPECS[name]);
tf.enableProdMode();

/** @param {tf.LayersModel} model */
const open = (model, overrides = {}) =>
  pipeline(model, {
    ...options,
    batchSize: spec.batch,
    setup: SETUP_MODULE,
    tracedLayers: tracedLayersOf(spec),
    seed: 1,
    ...overrides,
  });

/** @type {{ trainers: import('millrace').PipelinedModel[], timed: TimedFit, startMs: number } | undefined} */
let ready;

async function prepare() {
  if (ready !== undefined) return ready;
  const prepared = Array.from({ length: trainerCount }, () => prepareModel(name, directory, 'adam'));
  const start = performance.now();
  const trainers = await Promise.all(prepared.map(({ model }) => open(model)));
  // The first step counts too: sessions and memory are made for it.
  const timed = new TimedFit(directory, /** @type {{ batchSize: number }} */ (prepared[0]).batchSize);
  await timed.run(1, ...fitsOf(trainers));
  ready = { trainers, timed, startMs: performance.now() - start };
  return ready;
}

/** @param {readonly import('millrace').PipelinedModel[]} trainers */
function fitsOf(trainers) {
  return trainers.map(
    trainer => (/** @type {any} */ x, /** @type {any} */ y, /** @type {any} */ args) =>
      trainer.fit(x, y, args),
  );
}

await serve({
  /** Where the model normalises over the batch, over the whole one: parts of it compute something else, as in torch. */
  async check({ as }) {
    const prepared = prepareModel(name, directory, 'sgd');
    const normalises = prepared.model.layers.some(layer => layer.getClassName() === 'BatchNormalization');
    const trainer = await open(prepared.model, normalises ? { batchNorm: 'exact' } : {});
    await check(directory, as, prepared, (x, y, args) => trainer.fit(x, y, args));
    await trainer.close();
    return {};
  },
  async time({ steps }) {
    const { trainers, timed } = await prepare();
    return { ms: await timed.run(steps, ...fitsOf(trainers)) };
  },
  async describe() {
    const { trainers, startMs } = await prepare();
    const { stages, replicas, microBatches, schedule, backend, isSettled } =
      /** @type {import('millrace').PipelinedModel} */ (trainers[0]).plan;
    return {
      startMs,
      isSettled,
      plan: {
        backend,
        stages: stages.length,
        replicas,
        microBatches,
        schedule: schedule.name,
        layers: stages.map(stage => stage.layers),
      },
    };
  },
  /** The period that the plan's schedule would have if its actions took what they really take and waited for nothing else. */
  async bound({ steps }) {
    const { trainers, timed } = await prepare();
    const trainer = /** @type {import('millrace').PipelinedModel} */ (trainers[0]);
    const times = new ActionTimes(trainer);
    await timed.run(steps, ...fitsOf(trainers));
    times.stop();
    return { ms: times.simulatedPeriodMs(trainer.plan.schedule) };
  },
  async close() {
    await Promise.all((ready?.trainers ?? []).map(trainer => trainer.close()));
    return {};
  },
});
