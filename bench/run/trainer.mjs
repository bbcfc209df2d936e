// @ts-check
/** A trainer for one of the models, and stretches of training with it. */
import * as tf from '@tensorflow/tfjs';
import { pipeline } from 'millrace';
import { buildModel, lossOf, SETUP_MODULE, tracedLayersOf } from '../models/build.mjs';
import { makeSamples } from '../models/samples.mjs';

/**
 * @template T
 * @param {import('../models/build.mjs').ModelSpec} spec
 * @param {import('millrace').PipelineOptions} options
 * @param {(trainer: import('millrace').PipelinedModel, train: (steps: number) => Promise<number>) => Promise<T>} use `train` trains
 *   so many steps and says how many milliseconds one took
 * @returns {Promise<T>} what `use` returns, once the trainer is closed
 */
export async function withTrainer(spec, options, use) {
  const model = buildModel(spec);
  model.compile({ optimizer: 'adam', loss: lossOf(spec) });
  const trainer = await pipeline(model, {
    batchSize: spec.batch,
    setup: SETUP_MODULE,
    tracedLayers: tracedLayersOf(spec),
    batchNorm: 'micro-batch',
    ...options,
  });
  try {
    return await use(trainer, async steps => {
      const { x, y } = makeSamples(spec, steps);
      const start = performance.now();
      await trainer.fit(x, y, { batchSize: spec.batch, epochs: 1, shuffle: false, verbose: 0 });
      const ms = performance.now() - start;
      tf.dispose([x, y]);
      return ms / steps;
    });
  } finally {
    await trainer.close();
    model.dispose();
  }
}
