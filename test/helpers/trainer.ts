import type * as tf from '@tensorflow/tfjs';
import type { PipelinedModel, PipelineOptions } from 'millrace';
import { openTrainer, type TrainerHost } from '#internal/pipeline.js';

/**
 * Makes a trainer, uses it, and closes it whatever happens: no test ends with a live worker.
 *
 * @param threads where its workers come from, for trainers that share them
 */
export async function withTrainer<T>(
  model: tf.LayersModel,
  options: PipelineOptions,
  use: (trainer: PipelinedModel) => Promise<T>,
  threads?: TrainerHost['threads'],
): Promise<T> {
  const trainer = await openTrainer(model, options, { threads });
  try {
    return await use(trainer);
  } finally {
    await trainer.close();
  }
}
