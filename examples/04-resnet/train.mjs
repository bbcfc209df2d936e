/**
 * Trains a small residual network with batch normalization on real MNIST digits. Its skip connections go straight from the
 * stage that makes a value to the stage that adds it.
 *
 *   node examples/04-resnet/train.mjs --help
 */
import * as tf from '@tensorflow/tfjs';
import { formatPlan, pipeline, showProgress } from 'millrace';
import { loadDigits } from '../01-mnist/digits.mjs';
import { ExampleError, run } from '../shared/run.mjs';
import { createNetwork } from './network.mjs';
import { DEFAULT_EPOCHS, readOptions } from './options.mjs';

const BATCH_SIZE = 128;
const MICRO_BATCHES = 2;
/** Of the order of the digits. */
const SEED = 42;
const LEARNING_RATE = 0.1;
/** Parts of the training after which the learning rate falls to a tenth. */
const FALLS_AFTER = [0.5, 0.75];
const REQUIRED_ACCURACY = 0.98;

async function main() {
  const startMs = performance.now();
  const { backend, stages, epochs, samples, timeline } = readOptions();
  tf.enableProdMode();
  const { training, test } = loadDigits(samples);
  console.log(`${training.count} digits to train on, ${test.count} held back for the test\n`);

  const network = createNetwork(LEARNING_RATE);
  const trainer = await pipeline(network, {
    backend,
    stages,
    microBatches: MICRO_BATCHES,
    batchSize: BATCH_SIZE,
    // Each micro-batch is normalized by itself, as GPipe does it: else there could be only one, and stages would wait.
    batchNorm: 'micro-batch',
    seed: SEED,
  });
  try {
    console.log(`${formatPlan(trainer.plan)}\n`);
    showProgress(trainer, { stream: process.stdout });
    const { x, y } = training.toTensors();
    const slowDown = {
      onEpochBegin: async epoch => {
        const falls = FALLS_AFTER.filter(part => epoch >= part * epochs).length;
        network.optimizer.setLearningRate(LEARNING_RATE / 10 ** falls);
      },
    };
    await trainer.fit(x, y, { epochs, batchSize: BATCH_SIZE, callbacks: slowDown });
    if (timeline !== undefined) await trainer.timeline().save(timeline);
    const held = test.toTensors();
    const [, accuracy] = await trainer.evaluate(held.x, held.y, { batchSize: BATCH_SIZE });
    const testAccuracy = accuracy.dataSync()[0];
    console.log(`\naccuracy on the ${test.count} digits held back: ${(testAccuracy * 100).toFixed(2)} %`);
    console.log(`This took ${((performance.now() - startMs) / 1000).toFixed(0)} seconds.`);
    if (samples === undefined && epochs >= DEFAULT_EPOCHS && testAccuracy < REQUIRED_ACCURACY) {
      throw new ExampleError(`This network reaches ${REQUIRED_ACCURACY * 100} %; something is wrong.`);
    }
  } finally {
    await trainer.close();
  }
}

await run(main);
