/** Models with work enough to be watched, and layers that misbehave on demand. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { PipelinedModel, TrainerEvent } from 'millrace';
import { CLASSES, compile, FEATURES, initializer } from '../pipeline/helpers.js';

/** What the `Saboteur` layer does when it meets the sentinel in its input. */
export type Deed = 'throw' | 'throw later' | 'reject' | 'exit' | 'hang' | 'sleep';

export const saboteurModule = fileURLToPath(new URL('./fixtures/saboteur.mjs', import.meta.url));

const { Saboteur, SENTINEL } = createRequire(import.meta.url)(saboteurModule) as {
  Saboteur: new (config: object) => tf.layers.Layer;
  SENTINEL: number;
};

/** A classifier of four layers whose third, `saboteur`, does its deed in the worker that meets a sentinel sample. */
export function sabotaged(deed: Deed, config: object = {}): tf.Sequential {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({
        name: 'first',
        units: FEATURES,
        inputShape: [FEATURES],
        // The identity, so that the sentinel arrives unchanged.
        kernelInitializer: 'identity',
        trainable: false,
      }),
      new Saboteur({ name: 'saboteur', deed, ...config }),
      tf.layers.dense({ name: 'middle', units: 8, kernelInitializer: initializer(1) }),
      tf.layers.dense({
        name: 'last',
        units: CLASSES,
        activation: 'softmax',
        kernelInitializer: initializer(2),
      }),
    ],
  });
  compile(model, { metrics: [] });
  return model;
}

/** `x` with the sentinel in one sample. */
export function withSentinel(x: tf.Tensor2D, row: number): tf.Tensor2D {
  const data = x.dataSync().slice();
  data[row * FEATURES] = SENTINEL;
  return tf.tensor2d(data, x.shape);
}

/** Collects a trainer's events from now on. */
export function recordEvents(trainer: PipelinedModel): TrainerEvent[] {
  const events: TrainerEvent[] = [];
  trainer.events$.subscribe(event => events.push(event));
  return events;
}

/** A stack of equal wide layers: some milliseconds of work for each of its stages. */
export function wideModel(units: number, layerCount: number): tf.Sequential {
  const layers = Array.from({ length: layerCount }, (_, index) =>
    tf.layers.dense({
      name: `wide${index}`,
      units,
      activation: 'relu',
      kernelInitializer: initializer(index + 1),
      ...(index === 0 ? { inputShape: [units] } : {}),
    }),
  );
  const model = tf.sequential({ layers });
  model.compile({ optimizer: tf.train.sgd(1e-3), loss: 'meanSquaredError' });
  return model;
}

/** Milliseconds that a promise took to settle, however it did. */
export async function timeOf(promise: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await promise.catch(() => {});
  return performance.now() - start;
}
