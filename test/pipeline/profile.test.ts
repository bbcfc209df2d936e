/** `trainer.profile()` and the option `cache`: layers are measured once, and what was measured is used. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { formatProfile, type ModelProfile, type PipelineOptions, StateError } from 'millrace';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../io/support.js';
import {
  CLASSES,
  compile,
  compiledClassifier,
  FEATURES,
  newClassifier,
  open,
  refusal,
  samples,
} from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

/** Layers have to be measured where `partition` is decided by time. */
const MEASURED = { partition: 'auto', batchSize: 16 } as const satisfies PipelineOptions;

let cache: string;
beforeEach(async () => {
  cache = await temporaryDirectory();
});

/** Times that nobody would measure: the first layer takes almost all of it. */
async function rewriteTimes(): Promise<void> {
  const [name, ...others] = await readdir(cache);
  expect(others).toEqual([]);
  const path = join(cache, name!);
  const file = JSON.parse(await readFile(path, 'utf8'));
  for (const size of file.sizes) size.units[0].forwardMs = 1_234;
  await writeFile(path, JSON.stringify(file));
}

const firstLayerMs = ({ microBatches }: ModelProfile): number[] =>
  microBatches.map(({ layers }) => layers[0]!.forwardMs);

describe('profile()', () => {
  it('tells of every layer what it costs, for two sizes of micro-batch', async () => {
    const trainer = await open(compiledClassifier(), { batchSize: 16, cache: false });
    const profile = await trainer.profile();
    expect(profile).toMatchObject({
      backend: 'cpu',
      backendVersion: trainer.plan.backendVersion,
      workers: 2,
    });
    expect(profile.microBatches.map(({ rows }) => rows)).toEqual([2, 8]);
    for (const { rows, layers } of profile.microBatches) {
      expect(layers.map(({ layer, node }) => [layer, node])).toEqual([
        ['hidden0', 0],
        ['hidden1', 1],
        ['hidden2', 2],
        ['head', 3],
      ]);
      expect(layers.map(({ activationBytes }) => activationBytes)).toEqual(
        [8, 8, 8, CLASSES].map(units => rows * units * 4),
      );
      expect(layers.map(({ weightBytes }) => weightBytes)).toEqual(
        [(FEATURES + 1) * 8, 9 * 8, 9 * 8, 9 * CLASSES].map(weights => weights * 4),
      );
      for (const { forwardMs, backwardInputMs, backwardWeightMs, stepMs } of layers) {
        for (const ms of [forwardMs, backwardWeightMs]) expect(ms).toBeGreaterThan(0);
        for (const ms of [backwardInputMs, stepMs]) expect(ms).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('measures once, and again when the model was compiled with another optimizer', async () => {
    const trainer = await open(compiledClassifier(), { cache: false });
    const first = await trainer.profile();
    expect(await trainer.profile()).toEqual(first);
    compile(trainer.model, { optimizer: 'adam' });
    expect(await trainer.profile()).not.toEqual(first);
  });

  it('leaves training as it was, and no tensors', async () => {
    const { x, y } = samples(16);
    const trainer = await open(compiledClassifier(), { cache: false });
    await trainer.fit(x, y, { verbose: 0 });
    const before = await trainer.memory();
    await trainer.profile();
    expect(await trainer.memory()).toEqual(before);
    await expect(trainer.fit(x, y, { verbose: 0 })).resolves.toBeInstanceOf(tf.History);
  });

  it('is refused while fit runs', async () => {
    const { x, y } = samples(16);
    const trainer = await open(compiledClassifier());
    const errors: Error[] = [];
    const onEpochEnd = async (): Promise<void> => void errors.push(await refusal(() => trainer.profile()));
    await trainer.fit(x, y, { callbacks: { onEpochEnd } });
    expect(errors).toEqual([expect.any(StateError)]);
    expect(errors[0]!.message).toMatch(/^profile\(\) was called while fit\(\) runs/);
  });

  it('can be drawn as a table', async () => {
    const profile: ModelProfile = {
      backend: 'cpu',
      backendVersion: '4.22.0',
      workers: 1,
      microBatches: [
        {
          rows: 4,
          layers: [
            {
              layer: 'hidden',
              node: 0,
              forwardMs: 1.25,
              backwardInputMs: 0,
              backwardWeightMs: 12,
              accumulateMs: 0.5,
              stepMs: 0.0625,
              activationBytes: 2048,
              weightBytes: 100,
            },
          ],
        },
      ],
    };
    expect(formatProfile(profile).split('\n')).toEqual([
      'measured on cpu 4.22.0, 1 worker at a time',
      '',
      'micro-batches of 4 samples',
      'call  layer    F ms   B ms    W ms  sum ms  step ms  activations  weights',
      '   0  hidden  1.250  0.000  12.000   0.500    0.063      2.0 KiB    100 B',
    ]);
  });
});

describe('the option cache', () => {
  it('lets a second trainer of such a model plan by what the first has measured', async () => {
    const first = await open(compiledClassifier(), { ...MEASURED, cache });
    expect(await readdir(cache)).toHaveLength(1);
    const times = firstLayerMs(await first.profile());
    await rewriteTimes();
    expect(firstLayerMs(await first.profile()), 'remembered, not read').toEqual(times);

    const second = await open(compiledClassifier(), { ...MEASURED, cache });
    expect(firstLayerMs(await second.profile())).toEqual([1_234, 1_234]);
    expect(second.plan.stages[0]!.layers, 'cut behind the layer that takes all the time').toEqual([
      'hidden0',
    ]);
    expect(second.plan.stages[0]!.share).toBeGreaterThan(0.9);
  });

  it('is also for what profile() measures, and for what a trainer was told to cut', async () => {
    await (await open(compiledClassifier(), { batchSize: 16, cache })).profile();
    await rewriteTimes();
    const second = await open(compiledClassifier(), { batchSize: 16, cache });
    expect(firstLayerMs(await second.profile())).toEqual([1_234, 1_234]);
  });

  it('knows one model from another, one batch size from another, one number of workers from another', async () => {
    const measure = async (model: tf.LayersModel, options: PipelineOptions): Promise<number> => {
      await (await open(model, { batchSize: 16, cache, ...options })).profile();
      return (await readdir(cache)).length;
    };
    expect(await measure(compiledClassifier(), {})).toBe(1);
    expect(await measure(compiledClassifier(), {})).toBe(1);
    expect(await measure(compiledClassifier(), { batchSize: 32 })).toBe(2);
    expect(await measure(compiledClassifier(), { workers: 1 })).toBe(3);
    expect(await measure(compiledClassifier({ optimizer: 'adam' }), {})).toBe(4);
    const frozen = newClassifier();
    frozen.layers[1]!.trainable = false;
    compile(frozen);
    expect(await measure(frozen, {})).toBe(5);
  });

  it('may be a folder that cannot be written, or files that make no sense', async () => {
    const file = join(cache, 'file');
    await writeFile(file, '');
    await expect(
      open(compiledClassifier(), { ...MEASURED, cache: join(file, 'profiles') }),
    ).resolves.toBeDefined();

    const folder = join(cache, 'profiles');
    await open(compiledClassifier(), { ...MEASURED, cache: folder });
    const [name] = await readdir(folder);
    const short = JSON.parse(await readFile(join(folder, name!), 'utf8'));
    for (const size of short.sizes) size.units.pop();
    await writeFile(join(folder, name!), JSON.stringify(short));
    const trainer = await open(compiledClassifier(), { ...MEASURED, cache: folder });
    expect((await trainer.profile()).microBatches[0]!.layers).toHaveLength(4);
  });

  it("is the user's cache folder by default, and nothing is written without it", async () => {
    const folder = join(process.env['XDG_CACHE_HOME']!, 'millrace', 'profiles');
    const count = async (): Promise<number> => (await readdir(folder).catch(() => [])).length;
    // A size that no other test plans for.
    const options = { ...MEASURED, batchSize: 22 };
    const before = await count();
    await open(compiledClassifier(), { ...options, cache: false });
    expect(await count()).toBe(before);
    await open(compiledClassifier(), options);
    expect(await count()).toBe(before + 1);
  });
});
