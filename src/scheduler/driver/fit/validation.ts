/** What a fit validates on after an epoch: tensors given or held back, or a dataset. */
import { ConfigurationError } from '../../../errors.js';
import { isDataset, isRestartable, type UserDataset } from '../data/dataset.js';
import { DatasetReader } from '../data/dataset-reader.js';
import { type DataOwner, labelledData, sliceSamples, type UserData } from '../data/user-data.js';
import { evaluateBatches, evaluateSamples } from '../evaluate.js';
import type { Warn } from '../events.js';
import type { MiniBatch } from '../mini-batch.js';
import type { Runtime } from '../runtime.js';
import type { StopRequest } from '../stop-request.js';
import type { FitArgs, FitDatasetArgs } from './args.js';

export interface ValidationContext {
  readonly runtime: Runtime;
  readonly stop: StopRequest;
  readonly warn: Warn;
}

/** Loss and metrics in the order of `logNames`. */
export type Validation = (context: ValidationContext) => Promise<readonly number[]>;

/** Splits what `fit` was given into what it trains on and what it validates on. */
export async function withValidation(
  owner: DataOwner,
  all: UserData,
  args: FitArgs,
  batchSize: number,
): Promise<{ readonly training: UserData; readonly validation: Validation | undefined }> {
  const { validationData, validationSplit, validationSteps } = args;
  if (validationData !== undefined && validationData !== null) {
    const data = await tensorsOf(owner, validationData, batchSize);
    return { training: all, validation: onSamples(data, batchSize, validationSteps) };
  }
  if (validationSplit === undefined || validationSplit === null || validationSplit === 0) {
    if (validationSteps === undefined || validationSteps === null)
      return { training: all, validation: undefined };
    throw new ConfigurationError(
      'validationSteps',
      "'validationSteps' needs something to validate on: give 'validationData' or 'validationSplit' too.",
    );
  }
  const splitAt = splitOf(all.sampleCount, validationSplit);
  const held = sliceSamples(all, splitAt, all.sampleCount);
  return {
    training: sliceSamples(all, 0, splitAt),
    validation: onSamples(held, batchSize, validationSteps),
  };
}

/** As in tfjs: the tail, taken before any shuffling. */
function splitOf(sampleCount: number, validationSplit: number): number {
  if (!(validationSplit > 0 && validationSplit < 1)) {
    throw new ConfigurationError(
      'validationSplit',
      `validationSplit takes a number between 0 and 1, got ${validationSplit}.`,
    );
  }
  const splitAt = Math.floor(sampleCount * (1 - validationSplit));
  if (splitAt > 0 && splitAt < sampleCount) return splitAt;
  throw new ConfigurationError(
    'validationSplit',
    `validationSplit ${validationSplit} of ${sampleCount} samples leaves nothing to ${splitAt === 0 ? 'train' : 'validate'} on.`,
  );
}

/** What `fitDataset` validates on. */
export async function datasetValidation(
  owner: DataOwner,
  args: FitDatasetArgs,
): Promise<Validation | undefined> {
  const { validationData, validationBatches, validationBatchSize = 32, epochs, initialEpoch = 0 } = args;
  if (validationData === undefined || validationData === null) return undefined;
  if (Array.isArray(validationData) || !isDataset(validationData)) {
    const data = await tensorsOf(owner, validationData, validationBatchSize);
    return onSamples(data, validationBatchSize, undefined);
  }
  const dataset = validationData as UserDataset;
  if (epochs - initialEpoch > 1 && !isRestartable(dataset)) {
    throw new ConfigurationError(
      'validationData',
      `A generator object can be read only once, but ${epochs - initialEpoch} epochs are to be validated. Pass the generator ` +
        'function itself, which every epoch calls anew.',
    );
  }
  return context => evaluateDatasetOf('validationData', owner, dataset, validationBatches, context);
}

/** Loss and metrics over a dataset, or over so many mini-batches from its start. */
export async function evaluateDatasetOf(
  path: string,
  owner: DataOwner,
  dataset: UserDataset,
  batches: number | undefined,
  { runtime, stop, warn }: ValidationContext,
): Promise<readonly number[]> {
  const reader = await DatasetReader.open(path, dataset, owner, stop);
  let count = 0;
  async function* source(): AsyncGenerator<MiniBatch> {
    while (count !== batches && !stop.isRequested) {
      const batch = await reader.read(`batch ${count}`);
      if (batch === undefined) return;
      count += 1;
      yield batch;
    }
  }
  try {
    const { values } = await evaluateBatches(runtime, source());
    if (stop.isRequested) return values;
    if (count === 0) {
      throw new ConfigurationError(path, `The dataset '${path}' gave no mini-batch to evaluate.`);
    }
    if (batches !== undefined && batches !== null && count < batches) {
      warn(
        'DATASET_ENDED',
        `The dataset '${path}' ended after ${count} of ${batches} mini-batches; what is reported is over those. ` +
          'dataset.repeat() makes one that does not end.',
      );
    }
    return values;
  } finally {
    await reader.close();
  }
}

function onSamples(data: UserData, batchSize: number, steps: number | null | undefined): Validation {
  const used = firstSteps('validationSteps', data, batchSize, steps);
  return ({ runtime, stop }) => evaluateSamples(runtime, used, batchSize, stop);
}

/** The samples of the first `steps` mini-batches. */
export function firstSteps(
  path: string,
  data: UserData,
  batchSize: number,
  steps: number | null | undefined,
): UserData {
  if (steps === undefined || steps === null) return data;
  const available = Math.ceil(data.sampleCount / batchSize);
  if (steps <= available) return sliceSamples(data, 0, Math.min(data.sampleCount, steps * batchSize));
  throw new ConfigurationError(
    path,
    `'${path}' is ${steps}, but ${data.sampleCount} samples make ${available} mini-batches of ${batchSize}.`,
  );
}

async function tensorsOf(owner: DataOwner, validationData: unknown, batchSize: number): Promise<UserData> {
  if (!Array.isArray(validationData) || (validationData.length !== 2 && validationData.length !== 3)) {
    throw new ConfigurationError(
      'validationData',
      'validationData takes a list of two or three: [valX, valY] or [valX, valY, valSampleWeight].',
    );
  }
  const [x, y, sampleWeight] = validationData as unknown[];
  try {
    return await labelledData(owner, x, y, sampleWeight, batchSize);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new ConfigurationError('validationData', `validationData: ${error.message}`, { cause: error });
  }
}
