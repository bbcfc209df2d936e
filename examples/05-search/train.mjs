/**
 * Looks for the width and learning rate of a small network that tells three species of iris apart best: many trainings side
 * by side on all cores, through `parallel()`.
 *
 *   node examples/05-search/train.mjs --help
 */
import * as tf from '@tensorflow/tfjs';
import { parallel } from 'millrace';
import { lastValueFrom, tap, toArray } from 'rxjs';
import { loadFlowers } from '../02-iris/flowers.mjs';
import { ExampleError, run } from '../shared/run.mjs';
import { createNetwork } from './network.mjs';
import { DEFAULT_EPOCHS, readOptions } from './options.mjs';

const WIDTHS = [4, 8, 16];
const LEARNING_RATES = [0.003, 0.01, 0.03, 0.1];
const BATCH_SIZE = 16;
/** Share of the training flowers that tells which network is best. */
const VALIDATION_SHARE = 0.25;
/** Of the order of the flowers. */
const SEED = 42;
const REQUIRED_ACCURACY = 0.9;

async function main() {
  const options = readOptions();
  tf.enableProdMode();
  const { training, test } = loadFlowers();
  console.log(`${training.count} flowers to train on, ${test.count} held back for the test\n`);

  const results$ = parallel(trials(training, options), {
    cores: options.cores,
    pipeline: { backend: options.backend, seed: SEED },
  });
  const start = performance.now();
  const results = await lastValueFrom(
    results$.pipe(
      tap(result => console.log(line(result))),
      toArray(),
    ),
  );
  const seconds = (performance.now() - start) / 1000;
  const completed = results.filter(({ status }) => status === 'completed');
  console.log(`\n${completed.length} of ${results.length} trials completed in ${seconds.toFixed(1)} s`);

  const best = completed.reduce((a, b) => (scoreOf(b) > scoreOf(a) ? b : a));
  const accuracy = accuracyOn(best.model, test);
  console.log(`best: ${best.name}`);
  console.log(`accuracy on the ${test.count} flowers held back: ${(accuracy * 100).toFixed(2)} %`);
  if (options.epochs >= DEFAULT_EPOCHS && accuracy < REQUIRED_ACCURACY)
    throw new ExampleError(
      `The best of these networks reaches ${REQUIRED_ACCURACY * 100} %; something is wrong.`,
    );
}

/** One trial for every pair of settings. The generator goes on only when a core is free for another one. */
function* trials(flowers, { epochs, withABadOne }) {
  // Sorted by species as they come, the tail that validates would be one species alone.
  const { x, y } = flowers.shuffled(SEED).toTensors();
  const fit = { epochs, batchSize: BATCH_SIZE, validationSplit: VALIDATION_SHARE };
  if (withABadOne) {
    yield {
      name: 'no units at all',
      model: () => createNetwork({ units: 0, learningRate: 1 }),
      data: { x, y },
    };
  }
  for (const units of WIDTHS) {
    for (const learningRate of LEARNING_RATES) {
      const name = `${String(units).padStart(2)} units, rate ${learningRate}`;
      yield { name, model: () => createNetwork({ units, learningRate }), data: { x, y }, options: fit };
    }
  }
}

/** Right answers first; between networks with equally many, the surer one. */
function scoreOf({ history: { history } }) {
  return history.val_acc.at(-1) - history.val_loss.at(-1) * 1e-3;
}

function line(result) {
  const seconds = `${(result.durationMs / 1000).toFixed(1)} s`;
  if (result.status !== 'completed') return `${result.name} | ${result.status}: ${result.error.message}`;
  const { val_loss: losses, val_acc: accuracies } = result.history.history;
  return `${result.name} | validation loss ${losses.at(-1).toFixed(4)} | accuracy ${accuracies.at(-1).toFixed(4)} | ${seconds}`;
}

function accuracyOn(model, flowers) {
  const { x, y } = flowers.toTensors();
  return tf.tidy(() => {
    const right = tf.equal(tf.argMax(model.predict(x), 1), tf.argMax(y, 1));
    return tf.mean(right.toFloat()).dataSync()[0];
  });
}

await run(main);
