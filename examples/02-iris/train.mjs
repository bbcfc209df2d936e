/**
 * Tells three species of iris apart with a network of two layers: the smallest model there is, to show a trainer's methods
 * and callbacks beside those of tfjs.
 *
 *   node examples/02-iris/train.mjs --help
 */
import * as tf from '@tensorflow/tfjs';
import { formatPlan, pipeline, tensorBoard } from 'millrace';
import { ExampleError, run } from '../shared/run.mjs';
import { loadFlowers, SPECIES } from './flowers.mjs';
import { createNetwork } from './network.mjs';
import { DEFAULT_EPOCHS, readOptions } from './options.mjs';

const BATCH_SIZE = 32;
/** Of the order of the flowers. */
const SEED = 42;
const REQUIRED_ACCURACY = 0.95;
const EPOCHS_PER_LINE = 10;

async function main() {
  const options = readOptions();
  tf.enableProdMode();
  const { training, test } = loadFlowers();
  console.log(`${training.count} flowers to train on, ${test.count} held back for the test\n`);

  const trainer = await pipeline(createNetwork(), {
    backend: options.backend,
    stages: options.stages,
    seed: SEED,
  });
  try {
    console.log(`${formatPlan(trainer.plan)}\n`);
    const { x, y } = training.toTensors();
    const held = test.toTensors();
    await trainer.fit(x, y, {
      epochs: options.epochs,
      batchSize: BATCH_SIZE,
      validationData: [held.x, held.y],
      callbacks: callbacks(options),
    });
    if (options.timeline !== undefined) await trainer.timeline().save(options.timeline);
    const [loss, accuracy] = await trainer.evaluate(held.x, held.y);
    const testAccuracy = accuracy.dataSync()[0];
    console.log(`\n${await confusion(trainer, test)}\n`);
    console.log(`loss ${loss.dataSync()[0].toFixed(4)} on the ${test.count} flowers held back`);
    console.log(`accuracy on the ${test.count} flowers held back: ${(testAccuracy * 100).toFixed(2)} %`);
    if (options.epochs >= DEFAULT_EPOCHS && testAccuracy < REQUIRED_ACCURACY)
      throw new ExampleError(`This network reaches ${REQUIRED_ACCURACY * 100} %; something is wrong.`);
  } finally {
    await trainer.close();
  }
}

/** tfjs's callbacks, unchanged: one with hooks, and one that is a class of its own. */
function callbacks({ epochs, logs }) {
  const line = new tf.CustomCallback({
    onEpochEnd: async (epoch, { loss, acc, val_loss, val_acc }) => {
      if ((epoch + 1) % EPOCHS_PER_LINE !== 0 && epoch + 1 !== epochs) return;
      const facts = { loss, accuracy: acc, 'test loss': val_loss, 'test accuracy': val_acc };
      const text = Object.entries(facts).map(([name, value]) => `${name} ${value.toFixed(4)}`);
      console.log(`epoch ${epoch + 1}/${epochs} | ${text.join(' | ')}`);
    },
  });
  return logs === undefined ? [line] : [line, tensorBoard(logs, { histogramFreq: EPOCHS_PER_LINE })];
}

/** For each species, how many of its flowers were taken for which. */
async function confusion(trainer, flowers) {
  const { x } = flowers.toTensors();
  const scores = await trainer.predict(x);
  const guesses = tf.tidy(() => tf.argMax(scores, 1).dataSync());
  const width = Math.max(...SPECIES.map(name => name.length)) + 2;
  const row = (name, cells) => [name, ...cells].map(cell => String(cell).padStart(width)).join('');
  const rows = SPECIES.map((name, species) => {
    const taken = SPECIES.map(() => 0);
    for (const [index, actual] of flowers.species.entries()) if (actual === species) taken[guesses[index]]++;
    return row(name, taken);
  });
  return [row('taken for', SPECIES), ...rows].join('\n');
}

await run(main);
