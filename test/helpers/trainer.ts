import type * as tf from '@tensorflow/tfjs';
import { type PipelinedModel, type PipelineOptions, pipeline } from 'millrace';

/** Makes a trainer, uses it, and closes it whatever happens: no test ends with a live worker. */
export async function withTrainer<T>(
  model: tf.LayersModel,
  options: PipelineOptions,
  use: (trainer: PipelinedModel) => Promise<T>,
): Promise<T> {
  const trainer = await pipeline(model, options);
  try {
    return await use(trainer);
  } finally {
    await trainer.close();
  }
}
