/**
 * The user's tensors as plain arrays for the feed. tfjs's own checks of names, ranks, shapes and lengths run first, so its
 * messages are kept; what it does not check (dtypes, things that are no tensors, labels) is checked here.
 */

import { ConfigurationError } from '../../../errors.js';
import type { CompileSpec } from '../../../protocol/stage-spec.js';
import { tf } from '../../../tf.js';
import { compiled } from '../../../tfjs/internals.js';
import { type SampleArray, type SampleWeights, sampleSize } from '../mini-batch.js';
import { standardizeClassWeights, weighClasses } from './class-weights.js';
import { multiplyWeights, readSampleWeights } from './sample-weights.js';
import { checkLabels } from './targets.js';
import { checkTensors, inputsOf, toSampleArray } from './tensors.js';

export interface UserData {
  readonly inputs: readonly SampleArray[];
  readonly targets: readonly SampleArray[];
  readonly sampleWeights: SampleWeights;
  readonly sampleCount: number;
}

/** The model that data is for, and what it was compiled with. */
export interface DataOwner {
  readonly model: tf.LayersModel;
  readonly compile: CompileSpec;
}

/** Samples `start … end`, without copying. */
export function sliceSamples(data: UserData, start: number, end: number): UserData {
  const slice = (array: SampleArray): SampleArray => {
    const size = sampleSize(array);
    return { ...array, data: array.data.subarray(start * size, end * size) };
  };
  return {
    inputs: data.inputs.map(slice),
    targets: data.targets.map(slice),
    sampleWeights: data.sampleWeights.map(weights => weights?.subarray(start, end)),
    sampleCount: end - start,
  };
}

/** Checks x, y and sample weights as `model.fit` and `model.evaluate` check x and y. */
export async function labelledData(
  { model, compile }: DataOwner,
  x: unknown,
  y: unknown,
  sampleWeight: unknown,
  batchSize?: number,
): Promise<UserData> {
  checkTensors('x', x);
  checkTensors('y', y);
  inputsOf('x', model, x);
  const [xs, ys] = asConfigurationError('x and y', () =>
    compiled(model).standardizeUserDataXY(x, y, true, batchSize),
  );
  try {
    const data = toUserData(xs, ys);
    checkLabels('y', compile, data.targets);
    const weights = readSampleWeights('sampleWeight', sampleWeight, compileNames(compile), data.sampleCount);
    return { ...data, sampleWeights: weights };
  } finally {
    disposeNew(xs, x);
    disposeNew(ys, y);
  }
}

/** The same data, each sample weighted by its class too. */
export function weightedByClass({ compile }: DataOwner, data: UserData, classWeight: unknown): UserData {
  const perOutput = standardizeClassWeights(classWeight, compileNames(compile));
  const sampleWeights = multiplyWeights(data.sampleWeights, weighClasses(perOutput, data.targets));
  return { ...data, sampleWeights };
}

function compileNames({ outputs }: CompileSpec): readonly string[] {
  return outputs.map(({ name }) => name);
}

/** Checks x as `model.predict` does. */
export function predictionData(model: tf.LayersModel, x: unknown): UserData {
  checkTensors('x', x);
  return toUserData(inputsOf('x', model, x), []);
}

function toUserData(xs: readonly tf.Tensor[], ys: readonly tf.Tensor[]): UserData {
  const sampleCount = xs[0]!.shape[0]!;
  if (xs.some(tensor => tensor.shape[0] !== sampleCount)) {
    throw new ConfigurationError(
      'x',
      `All inputs must have the same number of samples, but they have ${xs.map(other => other.shape[0]).join(', ')}.`,
    );
  }
  return {
    inputs: xs.map(tensor => toSampleArray(tensor, true)),
    targets: ys.map(tensor => toSampleArray(tensor, true)),
    sampleWeights: [],
    sampleCount,
  };
}

/** Runs one of tfjs's checks and says which argument it was about. */
function asConfigurationError<T>(path: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw new ConfigurationError(path, error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}

/** Disposes what standardising made, and nothing of the user's. */
function disposeNew(tensors: readonly tf.Tensor[], original: unknown): void {
  const theirs = new Set(
    original instanceof tf.Tensor
      ? [original.id]
      : Object.values(original as object).map(tensor => tensor.id),
  );
  for (const tensor of tensors) if (!theirs.has(tensor.id)) tensor.dispose();
}
