/** From the arguments of `fit` and `fitDataset` to a training loop over a source of mini-batches. */
import type * as tf from '@tensorflow/tfjs';
import { ConfigurationError } from '../../../errors.js';
import { standardizeCallbacks } from '../callbacks.js';
import { checkDataset } from '../data/dataset.js';
import { labelledData, weightedByClass } from '../data/user-data.js';
import { checkCommonArgs, checkCount, checkOneOf, type FitArgs, type FitDatasetArgs } from './args.js';
import { DatasetSource } from './dataset-source.js';
import { type FitContext, FitLoop, type FitTask } from './loop.js';
import { TensorSource } from './tensor-source.js';
import { checkTrainables } from './trainables.js';
import { datasetValidation, withValidation } from './validation.js';

/** Trains on samples in memory, as tfjs's `fit` does. */
export async function fitTensors(
  context: FitContext,
  x: unknown,
  y: unknown,
  args: FitArgs,
): Promise<tf.History> {
  checkCommonArgs(args);
  checkCount('batchSize', args.batchSize);
  checkCount('epochs', args.epochs);
  checkCount('stepsPerEpoch', args.stepsPerEpoch);
  checkCount('validationSteps', args.validationSteps);
  checkOneOf('shuffle', args.shuffle, [true, false]);
  const owner = { model: context.model, compile: context.runtime.compile };
  const batchSize = args.batchSize ?? 32;
  const options = commonTask(args, args.epochs ?? 1);
  const all = await labelledData(owner, x, y, args.sampleWeight, batchSize);
  const { training, validation } = await withValidation(owner, all, args, batchSize);
  const source = new TensorSource({
    data: weightedByClass(owner, training, args.classWeight),
    batchSize,
    shuffle: args.shuffle ?? true,
    seed: context.seed,
    fit: context.fits.count++,
    initialEpoch: options.initialEpoch,
    stepsPerEpoch: args.stepsPerEpoch ?? undefined,
  });
  checkTrainables(context);
  return new FitLoop(context, { ...options, source, validation }).run();
}

/** Trains on what a dataset yields, as tfjs's `fitDataset` does. */
export async function fitDataset(
  context: FitContext,
  dataset: unknown,
  args: FitDatasetArgs,
): Promise<tf.History> {
  const { model, runtime, stop, warn } = context;
  checkDataset('dataset', dataset);
  checkCommonArgs(args);
  if (args.epochs === undefined || args.epochs === null) {
    throw new ConfigurationError('epochs', "fitDataset() needs 'epochs', a whole number of at least 1.");
  }
  for (const name of ['epochs', 'batchesPerEpoch', 'validationBatches', 'validationBatchSize'] as const) {
    checkCount(name, args[name]);
  }
  refuse(args, 'validationSplit', "Give 'validationData', a dataset or tensors, instead.");
  refuse(args, 'batchSize', 'The dataset decides how large its mini-batches are: dataset.batch(size).');
  refuse(args, 'sampleWeight', 'The dataset may yield { xs, ys, sampleWeight }.');
  const owner = { model, compile: runtime.compile };
  const options = commonTask(args, args.epochs);
  const validation = await datasetValidation(owner, args);
  const { classWeight } = args;
  const source = new DatasetSource({
    owner,
    dataset,
    epochs: options.epochs,
    initialEpoch: options.initialEpoch,
    batchesPerEpoch: args.batchesPerEpoch ?? undefined,
    classWeight,
    stop,
    warn,
  });
  checkTrainables(context);
  try {
    return await new FitLoop(context, { ...options, source, validation }).run();
  } finally {
    await source.close();
  }
}

function commonTask(args: FitArgs | FitDatasetArgs, epochs: number): Omit<FitTask, 'source' | 'validation'> {
  return {
    epochs,
    initialEpoch: args.initialEpoch ?? 0,
    verbose: args.verbose ?? 1,
    callbacks: standardizeCallbacks(args.callbacks, args.yieldEvery ?? undefined),
    terminateOnNaN: args.terminateOnNaN ?? false,
    learningRateSchedule: args.learningRateSchedule ?? undefined,
  };
}

function refuse(args: object, name: string, remedy: string): void {
  const value = (args as Record<string, unknown>)[name];
  if (value === undefined || value === null) return;
  throw new ConfigurationError(name, `fitDataset() takes no '${name}'. ${remedy}`);
}
