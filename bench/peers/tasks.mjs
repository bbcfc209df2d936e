// @ts-check
/** All trials of `tasks/trials.mjs`: side by side by Millrace (`parallel`), or one after another by plain tfjs-node (`plain`). */
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import { parallel } from 'millrace';
import { lastValueFrom, toArray } from 'rxjs';
import { FIT_ARGS, newModel, newSamples, TRIAL_COUNT } from '../tasks/trials.mjs';
import { serve } from './serve.mjs';

const [how] = process.argv.slice(2);
tf.enableProdMode();
if (how === 'plain') {
  createRequire(import.meta.url)('@tensorflow/tfjs-node');
  await tf.setBackend('tensorflow');
}
const { x, y } = newSamples();
const seeds = Array.from({ length: TRIAL_COUNT }, (_, index) => index);

/** @returns {Promise<number[]>} the last loss of every trial, in order */
async function trainPlainly() {
  const losses = [];
  for (const seed of seeds) {
    const model = newModel(seed);
    const { history } = await model.fit(x, y, { ...FIT_ARGS, verbose: 0 });
    losses.push(/** @type {number} */ (history['loss']?.at(-1)));
    model.dispose();
  }
  return losses;
}

/** With the start of the workers, which every call of `parallel` pays. */
async function trainSideBySide() {
  const trials = seeds.map(seed => ({ model: () => newModel(seed), data: { x, y }, options: FIT_ARGS }));
  const results$ = parallel(trials, { pipeline: { backend: 'tensorflow' } });
  const losses = new Array(TRIAL_COUNT);
  for (const result of await lastValueFrom(results$.pipe(toArray()))) {
    if (result.status !== 'completed') throw new Error(`${result.name} was not completed`, { cause: result });
    losses[result.index] = result.history.history['loss']?.at(-1);
    result.model.dispose();
  }
  return losses;
}

await serve({
  async time() {
    const start = performance.now();
    const losses = await (how === 'plain' ? trainPlainly() : trainSideBySide());
    return { ms: performance.now() - start, losses };
  },
});
