/**
 * Trains a convolutional network on real MNIST digits as a pipeline over worker threads, tests it on digits that it has
 * never seen, and says how fast that was beside plain `model.fit`.
 *
 *   node examples/01-mnist/train.mjs --help
 */
import { writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { formatPlan, MillraceError, pipeline, showProgress } from 'millrace';
import { loadDigits } from './digits.mjs';
import { createNetwork } from './network.mjs';
import { readOptions } from './options.mjs';
import { PipelinedRate } from './pipelined-rate.mjs';
import { measurePlainFit } from './plain-fit.mjs';

const MICRO_BATCHES = 2;
/** Of the dropout and of the order of the digits. */
const SEED = 42;
const REQUIRED_ACCURACY = 0.97;

async function main() {
  const startMs = performance.now();
  const options = readOptions();
  const { batchSize } = options;
  // The main thread only holds data; without this, tfjs advises to install a native backend, which the workers may have.
  tf.enableProdMode();

  const { training, test } = loadDigits(options.samples);
  console.log(`${training.count} digits to train on, ${test.count} held back for the test\n`);

  const network = createNetwork();
  const trainer = await pipeline(network, {
    backend: options.backend,
    stages: options.stages,
    microBatches: MICRO_BATCHES,
    batchSize,
    seed: SEED,
  });
  let testAccuracy;
  const rate = new PipelinedRate(trainer);
  try {
    console.log(`${formatPlan(trainer.plan)}\n`);
    showProgress(trainer, { stream: process.stdout });
    const { x, y } = training.toTensors();
    await trainer.fit(x, y, { epochs: options.epochs, batchSize });
    if (options.timeline !== undefined) await trainer.timeline().save(options.timeline);
    testAccuracy = await testOn(trainer, test, batchSize);
  } finally {
    await trainer.close();
  }
  console.log(`\naccuracy on the ${test.count} digits held back: ${(testAccuracy * 100).toFixed(2)} %`);

  const { backend, stages } = trainer.plan;
  const plainSamplesPerSecond = await measurePlainFit({
    backend,
    batchSize,
    samples: options.samples,
    seconds: options.plainSeconds,
  });
  const results = {
    backend,
    stages: stages.length,
    testAccuracy,
    samplesPerSecond: rate.samplesPerSecond,
    plainSamplesPerSecond,
    seconds: (performance.now() - startMs) / 1000,
  };
  console.log(compareSpeeds(results));
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results, null, 2)}\n`);
  if (options.samples === undefined && testAccuracy < REQUIRED_ACCURACY) {
    throw new Error(
      `The accuracy of ${(testAccuracy * 100).toFixed(2)} % is below the ${REQUIRED_ACCURACY * 100} % that this network ` +
        `reaches in 12 epochs; it was trained for ${options.epochs}.`,
    );
  }
}

/** @returns {Promise<number>} share of the digits that the network tells right */
async function testOn(trainer, digits, batchSize) {
  const { x, y } = digits.toTensors();
  const [, accuracy] = await trainer.evaluate(x, y, { batchSize });
  return accuracy.dataSync()[0];
}

function compareSpeeds({ backend, stages, samplesPerSecond, plainSamplesPerSecond, seconds }) {
  const ratio = samplesPerSecond / plainSamplesPerSecond;
  const count = number => Math.round(number).toLocaleString('en-US').padStart(7);
  return [
    `Millrace, ${stages} stage${stages === 1 ? '' : 's'}:      ${count(samplesPerSecond)} samples/s on ${backend}`,
    `plain model.fit:         ${count(plainSamplesPerSecond)} samples/s on ${backend}`,
    ratio >= 1
      ? `Millrace was ${ratio.toFixed(2)} times as fast as plain fit.`
      : `Plain fit was faster: Millrace ran at ${ratio.toFixed(2)} times its speed.`,
    `This took ${seconds.toFixed(0)} seconds.`,
  ].join('\n');
}

try {
  await main();
} catch (error) {
  // What Millrace refuses, it explains; anything else is a bug and needs its stack.
  console.error(`\n${error instanceof MillraceError ? error.message : error.stack}`);
  process.exitCode = 1;
}
