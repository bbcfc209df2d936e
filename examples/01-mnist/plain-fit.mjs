/**
 * Measures plain `model.fit` of the same network on the same digits, in a process of its own: tfjs as it comes, on the
 * main thread, with its default number of TensorFlow threads.
 *
 * This file is both sides: `measurePlainFit` starts it as a child process, which sends its result back.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';

const OWN_PATH = fileURLToPath(import.meta.url);

const WARM_UP_STEPS = 5;
/** Share of the time that the warm-up may take where steps are slow, as convolutions are on the cpu backend. */
const WARM_UP_SHARE = 1 / 4;
/** Steps of one call of `fit`: so many that what it does once a call does not count. */
const MOST_STEPS_PER_ROUND = 10;
/** Fewer where steps are slow: then what `fit` does once a call does not count either, and the end comes in time. */
const ROUND_MS = 1_000;

/**
 * @param {{ backend: string, batchSize: number, samples?: number, seconds: number }} task what to train on, and the time
 *   after which no further round begins
 * @returns {Promise<number>} samples per second
 */
export async function measurePlainFit(task) {
  const env = { ...process.env };
  // Millrace has set these for its workers, and children inherit them.
  delete env.TF_NUM_INTRAOP_THREADS;
  delete env.TF_NUM_INTEROP_THREADS;
  const child = fork(OWN_PATH, [JSON.stringify(task)], { env });
  return await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      reject(
        new Error(`The process that measures plain fit ended early (${signal ?? `exit code ${code}`}).`),
      ),
    );
  });
}

async function measure({ backend, batchSize, samples, seconds }) {
  await loadEngine(backend);
  const { loadDigits } = await import('./digits.mjs');
  const { createNetwork } = await import('./network.mjs');
  const network = createNetwork();
  const { training } = loadDigits(samples);
  const train = async steps => {
    const { x, y } = training.take(steps * batchSize).toTensors();
    const startMs = performance.now();
    await network.fit(x, y, { batchSize, verbose: 0 });
    tf.dispose([x, y]);
    return performance.now() - startMs;
  };
  const budgetMs = seconds * 1000;
  let msPerStep = 0;
  for (let step = 0, spentMs = 0; step < WARM_UP_STEPS && spentMs <= budgetMs * WARM_UP_SHARE; step++) {
    msPerStep = await train(1);
    spentMs += msPerStep;
  }
  const stepsPerRound = Math.min(MOST_STEPS_PER_ROUND, Math.max(1, Math.round(ROUND_MS / msPerStep)));
  let steps = 0;
  let elapsedMs = 0;
  while (elapsedMs < budgetMs) {
    elapsedMs += await train(stepsPerRound);
    steps += stepsPerRound;
  }
  return (steps * batchSize * 1000) / elapsedMs;
}

async function loadEngine(backend) {
  // As in the main job, so that both are measured alike.
  tf.enableProdMode();
  if (backend === 'tensorflow') await import('@tensorflow/tfjs-node');
  if (backend === 'wasm') {
    await import('@tensorflow/tfjs-backend-wasm');
    // tfjs's own kernels cannot train convolutions on wasm, so plain fit gets those that Millrace registers.
    await import('millrace');
  }
  await tf.setBackend(backend);
  await tf.ready();
}

if (process.argv[1] === OWN_PATH) {
  // Whoever started it is gone: nobody will read the result.
  process.on('disconnect', () => process.exit());
  process.send(await measure(JSON.parse(process.argv[2])));
  process.disconnect();
}
