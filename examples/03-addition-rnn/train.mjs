/**
 * Learns to add two numbers that are written as text, from examples alone: one stage reads the question, the next writes the
 * answer.
 *
 *   node examples/03-addition-rnn/train.mjs --help
 */
import * as tf from '@tensorflow/tfjs';
import { formatPlan, pipeline, showProgress } from 'millrace';
import { ExampleError, run } from '../shared/run.mjs';
import { createNetwork } from './network.mjs';
import { DEFAULTS, readOptions } from './options.mjs';
import { decode, makeSums, possibleSums } from './sums.mjs';

const BATCH_SIZE = 128;
const MICRO_BATCHES = 2;
/** Of the order of the sums. */
const SEED = 42;
const REQUIRED_ACCURACY = 0.99;
const SHOWN_SUMS = 10;

/** High at first, to learn in few epochs; with that to the end, the loss would leap up now and then. */
const LEARNING_RATES = [0.004, 0.001, 0.0003];
/** Parts of the training after which the next one holds. */
const CHANGES_AFTER = [0.6, 0.85];

async function main() {
  const startMs = performance.now();
  const options = readOptions();
  const { digits, sums, units, epochs } = options;
  if (sums > possibleSums(digits)) {
    throw new ExampleError(
      `There are only ${possibleSums(digits)} sums of two numbers of up to ${digits} digits; ask for fewer with --sums.`,
    );
  }
  tf.enableProdMode();
  const { training, test } = makeSums(digits, sums);
  console.log(`${training.count} sums to train on, ${test.count} held back for the test\n`);

  const network = createNetwork(digits, units, LEARNING_RATES[0]);
  const trainer = await pipeline(network, {
    backend: options.backend,
    stages: options.stages,
    microBatches: MICRO_BATCHES,
    batchSize: BATCH_SIZE,
    seed: SEED,
  });
  try {
    console.log(`${formatPlan(trainer.plan)}\n`);
    showProgress(trainer, { stream: process.stdout });
    const { x, y } = training.toTensors();
    const slowDown = {
      onEpochBegin: async epoch => {
        const changes = CHANGES_AFTER.filter(part => epoch >= part * epochs).length;
        network.optimizer.learningRate = LEARNING_RATES[changes];
      },
    };
    await trainer.fit(x, y, { epochs, batchSize: BATCH_SIZE, callbacks: slowDown });
    if (options.timeline !== undefined) await trainer.timeline().save(options.timeline);
    await showAnswers(trainer, test);
    const held = test.toTensors();
    const [, accuracy] = await trainer.evaluate(held.x, held.y);
    const testAccuracy = accuracy.dataSync()[0];
    console.log(
      `accuracy on the characters of ${test.count} sums held back: ${(testAccuracy * 100).toFixed(2)} %`,
    );
    console.log(`This took ${((performance.now() - startMs) / 1000).toFixed(0)} seconds.`);
    const isDefault = Object.entries(DEFAULTS).every(([name, value]) => options[name] === value);
    if (isDefault && testAccuracy < REQUIRED_ACCURACY) {
      throw new ExampleError(`This network reaches ${REQUIRED_ACCURACY * 100} %; something is wrong.`);
    }
  } finally {
    await trainer.close();
  }
}

async function showAnswers(trainer, sums) {
  const { x } = sums.toTensors();
  const answers = decode(await trainer.predict(x));
  const isRight = (sum, index) => answers[index] === sum.answer;
  for (const [index, sum] of sums.all.slice(0, SHOWN_SUMS).entries()) {
    console.log(`${isRight(sum, index) ? ' ' : '✗'} ${sum.question} = ${answers[index]}`);
  }
  const right = sums.all.filter(isRight).length;
  console.log(`\n${right} of ${sums.count} sums are right in every character`);
}

await run(main);
