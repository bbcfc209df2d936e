/** Models and directories for the tests of saving and loading. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterEach } from 'vitest';

const directories: string[] = [];

afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

/** An empty directory that is removed after the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-io-'));
  directories.push(directory);
  return directory;
}

/** 26 weights: 104 bytes. */
export const MODEL_WEIGHT_BYTES = 104;

export function createModel(): tf.Sequential {
  const model = tf.sequential({ name: 'saved' });
  model.add(tf.layers.dense({ inputShape: [3], units: 4, name: 'first' }));
  model.add(tf.layers.dense({ units: 2, name: 'second' }));
  model.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
  return model;
}

/** Values of all weights, in order. */
export function weightValues(model: tf.LayersModel): number[][] {
  return model.getWeights().map(weight => [...weight.dataSync()]);
}

export function readJson(path: string): Promise<Record<string, unknown>> {
  return readFile(path, 'utf8').then(text => JSON.parse(text) as Record<string, unknown>);
}
