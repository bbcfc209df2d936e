// @ts-check
/**
 * One whole fit in a process of its own, as a user would write it: `node fit.mjs plain|auto MODEL STEPS`. Prints the milliseconds
 * from the compiled model to its trained weights as JSON. The trainer is told the size of its mini-batches and the module that
 * knows the layers, and nothing of how to use the machine; it keeps nothing on disk.
 */
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import { pipeline } from 'millrace';
import { buildModel, lossOf, MODEL_SPECS, SETUP_MODULE, tracedLayersOf } from '../models/build.mjs';
import { makeSamples } from '../models/samples.mjs';

/** Mini-batches an epoch: longer fits take more epochs of the same samples. */
const EPOCH_STEPS = 50;

const [system, name = '', steps = ''] = process.argv.slice(2);
const spec = /** @type {import('../models/build.mjs').ModelSpec} */ (MODEL_SPECS[name]);
tf.enableProdMode();
if (system === 'plain') {
  createRequire(import.meta.url)('@tensorflow/tfjs-node');
  await tf.setBackend('tensorflow');
}
const model = buildModel(spec);
model.compile({ optimizer: 'adam', loss: lossOf(spec) });
const epochs = Math.ceil(Number(steps) / EPOCH_STEPS);
const { x, y } = makeSamples(spec, Math.ceil(Number(steps) / epochs));
const args = { batchSize: spec.batch, epochs, verbose: /** @type {0} */ (0) };

const start = performance.now();
let plan = 'plain';
if (system === 'plain') {
  await model.fit(x, y, args);
} else {
  const trainer = await pipeline(model, {
    setup: SETUP_MODULE,
    tracedLayers: tracedLayersOf(spec),
    batchSize: spec.batch,
    cache: false,
  });
  await trainer.fit(x, y, args);
  const { replicas, stages } = trainer.plan;
  plan = `${replicas} × ${stages.length}`;
  await trainer.close();
}
const ms = performance.now() - start;
console.log(JSON.stringify({ ms, plan, steps: ((x.shape[0] ?? 0) * epochs) / spec.batch }));
process.exit();
