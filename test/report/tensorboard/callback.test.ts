/** What the callback writes while a model trains: held against the history, and against tfjs-node's own callback. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, type TensorBoardOptions, tensorBoard } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import { standardizeCallbacks, watchesBatches, watchesEpochs } from '#internal/scheduler/driver/callbacks.js';
import { backends, useBackend } from '../../helpers/backends.js';
import { expectClose } from '../../helpers/compare.js';
import { temporaryDirectory } from '../../io/support.js';
import { compile, compiledClassifier, open, refusal, samples } from '../../pipeline/helpers.js';
import { type ReadValue, readRun } from './reader.js';

const SAMPLES = 20;
const FIT = { epochs: 3, batchSize: 5, validationSplit: 0.25, shuffle: false, verbose: 0 } as const;
const STEPS_PER_EPOCH = 3;

type Fit = (x: tf.Tensor, y: tf.Tensor, args: tf.ModelFitArgs) => Promise<tf.History>;

/** As plain tfjs trains, and as a pipeline does. */
const WAYS: readonly [name: string, fitOf: (model: tf.Sequential) => Promise<Fit>][] = [
  ['plain fit', async model => (x, y, args) => model.fit(x, y, args)],
  [
    'a trainer',
    async model => {
      const trainer = await open(model);
      return (x, y, args) => trainer.fit(x, y, args as object);
    },
  ],
];

beforeAll(() => tf.setBackend('cpu'));

/** By tag: the points of its curve. */
function curves(values: readonly ReadValue[]): Record<string, [step: number, value: number][]> {
  const curves: Record<string, [number, number][]> = {};
  for (const { tag, step, scalar } of values) {
    if (scalar === undefined) continue;
    curves[tag] ??= [];
    curves[tag].push([step, scalar]);
  }
  return curves;
}

const perEpoch = (values: readonly unknown[]) =>
  values.map((value, epoch) => [epoch + 1, Math.fround(value as number)]);

describe.each(WAYS)('with %s', (_, fitOf) => {
  it('losses and metrics of every epoch stand in train/ and val/', async () => {
    const directory = join(await temporaryDirectory(), 'logs', 'run 1');
    const train = await fitOf(compiledClassifier());
    const { x, y } = samples(SAMPLES);
    const { history } = await train(x, y, { ...FIT, callbacks: tensorBoard(directory) });
    expect((await readdir(directory)).sort()).toEqual(['train', 'val']);
    expect(curves(await readRun(join(directory, 'train')))).toEqual({
      epoch_loss: perEpoch(history['loss']!),
      epoch_acc: perEpoch(history['acc']!),
    });
    expect(curves(await readRun(join(directory, 'val')))).toEqual({
      epoch_loss: perEpoch(history['val_loss']!),
      epoch_acc: perEpoch(history['val_acc']!),
    });
  });

  it('every mini-batch is a point where that is asked for, counted on over epochs and calls of fit', async () => {
    const directory = await temporaryDirectory();
    const train = await fitOf(compiledClassifier());
    const { x, y } = samples(SAMPLES);
    const seen: [number, number][] = [];
    const watcher = new tf.CustomCallback({
      onBatchEnd: async (_batch: number, logs?: tf.Logs) => {
        seen.push([seen.length + 1, Math.fround(logs!['loss']!)]);
      },
    });
    const callbacks = [tensorBoard(directory, { updateFreq: 'batch' }), watcher];
    await train(x, y, { ...FIT, callbacks });
    await train(x, y, { ...FIT, epochs: 1, callbacks });
    const { batch_loss, epoch_loss } = curves(await readRun(join(directory, 'train')));
    expect(seen).toHaveLength(4 * STEPS_PER_EPOCH);
    expect(batch_loss).toEqual(seen);
    expect(epoch_loss!.map(([step]) => step)).toEqual([1, 2, 3, 1]);
    expect(await readdir(join(directory, 'train'))).toHaveLength(1);
  });

  it('without validation there is no val/', async () => {
    const directory = await temporaryDirectory();
    const train = await fitOf(compiledClassifier());
    const { x, y } = samples(SAMPLES);
    await train(x, y, { epochs: 1, verbose: 0, callbacks: tensorBoard(directory) });
    expect(await readdir(directory)).toEqual(['train']);
  });

  it('histograms of the weights as they are after every second epoch', async () => {
    const directory = await temporaryDirectory();
    const model = compiledClassifier();
    const train = await fitOf(model);
    const { x, y } = samples(SAMPLES);
    const sums: number[] = [];
    const watcher = new tf.CustomCallback({
      onEpochEnd: async () => {
        sums.push(model.getWeights()[0]!.min().dataSync()[0]!);
      },
    });
    const callbacks = [tensorBoard(directory, { histogramFreq: 2 }), watcher];
    await train(x, y, { ...FIT, callbacks });
    const histograms = (await readRun(join(directory, 'train'))).filter(
      ({ buckets }) => buckets !== undefined,
    );
    expect(histograms.map(({ step, tag }) => `${step} ${tag}`)).toEqual(
      [0, 2].flatMap(step => model.weights.map(({ name }) => `${step} ${name}`)),
    );
    const ofFirst = histograms.filter(({ tag }) => tag === model.weights[0]!.name);
    expect(ofFirst.map(({ buckets }) => buckets![0]![0])).toEqual([sums[0], sums[2]]);
    for (const { tag, buckets } of histograms) {
      const { shape } = model.weights.find(({ name }) => name === tag)!;
      const size = (shape as number[]).reduce((product, axis) => product * axis, 1);
      expect(buckets!.reduce((sum, bucket) => sum + bucket[2]!, 0)).toBe(size);
    }
  });

  it('a directory that cannot be made fails fit by name', async () => {
    const occupied = join(await temporaryDirectory(), 'file');
    await writeFile(occupied, '');
    const train = await fitOf(compiledClassifier());
    const { x, y } = samples(SAMPLES);
    const error = await refusal(() => train(x, y, { ...FIT, callbacks: tensorBoard(occupied) }));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe('logDirectory');
    expect(error.message).toContain(occupied);
    await train(x, y, FIT);
  });
});

describe('a later training into the same directory', () => {
  it('gets a file of its own, which TensorBoard reads after the first', async () => {
    const directory = await temporaryDirectory();
    const model = compiledClassifier();
    const { x, y } = samples(SAMPLES);
    for (const epochs of [1, 2]) {
      compile(model);
      await model.fit(x, y, { ...FIT, epochs, callbacks: tensorBoard(directory) });
    }
    const { epoch_loss } = curves(await readRun(join(directory, 'train')));
    expect(epoch_loss!.map(([step]) => step)).toEqual([1, 1, 2]);
  });
});

describe('training', () => {
  const watched = (options: TensorBoardOptions) => {
    const callbacks = standardizeCallbacks(tensorBoard('unused', options), undefined);
    return { batches: watchesBatches(callbacks), epochs: watchesEpochs(callbacks) };
  };

  it('waits for this callback only where it reads weights', () => {
    expect(watched({})).toEqual({ batches: false, epochs: false });
    expect(watched({ updateFreq: 'batch' })).toEqual({ batches: false, epochs: false });
    expect(watched({ updateFreq: 'batch', histogramFreq: 1 })).toEqual({ batches: false, epochs: true });
  });
});

describe('options', () => {
  const table: [args: unknown[], path: string, message: RegExp][] = [
    [[''], 'logDirectory', /path of a directory, but got ""/],
    [[7], 'logDirectory', /but got 7/],
    [['logs', 'batch'], 'options', /object of options, but got batch/],
    [['logs', { updateFreq: 'step' }], 'updateFreq', /'epoch' or 'batch', but got "step"/],
    [['logs', { histogramFreq: -1 }], 'histogramFreq', /whole number of at least 0, but got -1/],
    [['logs', { histogramFreq: 0.5 }], 'histogramFreq', /but got 0.5/],
    [['logs', { updateFrequency: 'batch' }], 'updateFrequency', /Unknown option.*updateFreq, histogramFreq/],
  ];

  it.each(table)('%j are refused', async (args, path, message) => {
    const error = await refusal(async () => (tensorBoard as (...args: unknown[]) => unknown)(...args));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe(path);
    expect(error.message).toMatch(message);
  });
});

describe.runIf(backends().includes('tensorflow'))('beside the callback of tfjs-node', () => {
  it('the folders, tags, steps and values are the same', async () => {
    await useBackend('tensorflow');
    const tfjsNode = await import('@tensorflow/tfjs-node');
    const [ours, theirs] = [await temporaryDirectory(), await temporaryDirectory()];
    const options = { updateFreq: 'batch', histogramFreq: 1 } as const;
    // Weights that are all zero make tfjs-node's histogram throw, so there is no bias.
    const model = tf.sequential({
      layers: [tf.layers.dense({ inputShape: [6], units: 3, useBias: false, activation: 'softmax' })],
    });
    compile(model);
    const { x, y } = samples(SAMPLES);
    const callbacks = [tensorBoard(ours, options), tfjsNode.node.tensorBoard(theirs, options)];
    await model.fit(x, y, { ...FIT, callbacks });
    expect(await readdir(ours)).toEqual(await readdir(theirs));
    for (const run of await readdir(theirs)) {
      const [actual, expected] = [await readRun(join(ours, run)), await readRun(join(theirs, run))];
      const essence = ({ step, tag, scalar, plugin }: ReadValue) => ({ step, tag, scalar, plugin });
      expect(actual.map(essence)).toEqual(expected.map(essence));
      const name = (path: string) => path.replace(/\d+/g, 'n');
      expect((await readdir(join(ours, run))).map(name)).toEqual(
        (await readdir(join(theirs, run))).map(name),
      );
      for (const [index, { buckets }] of expected.entries()) {
        const edges = (rows: ReadValue['buckets'] = []) => rows.map(([left]) => left!);
        expectClose(edges(actual[index]!.buckets), edges(buckets), 'left edges');
      }
    }
    await tf.setBackend('cpu');
  });
});
