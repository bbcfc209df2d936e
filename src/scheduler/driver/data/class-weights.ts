/**
 * Class weights as tfjs takes them: an object from class index to weight, or one for each output as a list or by name. A
 * sample counts by the weight of its class, which its target tells as an index or one-hot.
 */
import type * as tf from '@tensorflow/tfjs';
import { ConfigurationError } from '../../../errors.js';
import { type SampleArray, type SampleWeights, sampleSize } from '../mini-batch.js';

/** Class indices to weights: what tfjs takes for one output. */
export type ClassWeight = Readonly<Record<number, number>>;
/** What tfjs takes for all outputs. */
export type UserClassWeights = NonNullable<tf.ModelFitArgs['classWeight']>;

/** One object of class weights for each output, or none. */
export function standardizeClassWeights(
  classWeight: unknown,
  outputNames: readonly string[],
): readonly (ClassWeight | undefined)[] {
  if (classWeight === undefined || classWeight === null) return outputNames.map(() => undefined);
  if (typeof classWeight !== 'object') throw refusal(`but got ${String(classWeight)}.`);
  const perOutput = Array.isArray(classWeight)
    ? ofList(classWeight, outputNames)
    : ofObject(classWeight as Record<string, unknown>, outputNames);
  return perOutput.map(weights => {
    if (weights === undefined || weights === null) return undefined;
    if (typeof weights !== 'object') throw refusal(`but got ${String(weights)}.`);
    const wrong = Object.entries(weights).find(
      ([, weight]) => typeof weight !== 'number' || Number.isNaN(weight),
    );
    if (wrong !== undefined) throw refusal(`but class ${wrong[0]} has ${String(wrong[1])}.`);
    return weights as ClassWeight;
  });
}

function ofList(list: readonly unknown[], outputNames: readonly string[]): readonly unknown[] {
  if (list.length === 0) return outputNames.map(() => undefined);
  if (list.length === outputNames.length) return list;
  throw refusal(
    `but got a list of ${list.length} for a model of ${outputNames.length} output(s): ${outputNames.join(', ')}.`,
  );
}

function ofObject(object: Record<string, unknown>, outputNames: readonly string[]): readonly unknown[] {
  if (outputNames.some(name => name in object)) return outputNames.map(name => object[name]);
  if (outputNames.length === 1) return [object];
  throw refusal(
    `and the model has ${outputNames.length} outputs: give a list of such objects, or an object by output name ` +
      `(${outputNames.join(', ')}).`,
  );
}

function refusal(problem: string): ConfigurationError {
  return new ConfigurationError(
    'classWeight',
    `'classWeight' takes an object such as { 0: 1, 1: 2.5 } from class index to weight, ${problem}`,
  );
}

/** The weight of every sample by the class that its target tells. */
export function weighClasses(
  classWeights: readonly (ClassWeight | undefined)[],
  targets: readonly SampleArray[],
): SampleWeights {
  return classWeights.map((weights, output) =>
    weights === undefined ? undefined : weighOutput(weights, targets[output]!),
  );
}

function weighOutput(weights: ClassWeight, target: SampleArray): Float32Array {
  const { shape } = target.header;
  if (shape.length > 1) {
    throw new ConfigurationError(
      'classWeight',
      `'classWeight' needs targets of one class a sample, as an index or one-hot, but a target has shape [${shape.join(', ')}].`,
    );
  }
  const size = sampleSize(target);
  return Float32Array.from({ length: target.data.length / size }, (_, sample) => {
    const index = size === 1 ? target.data[sample]! : largest(target.data, sample * size, size);
    const weight = weights[index];
    if (weight !== undefined) return weight;
    throw new ConfigurationError(
      'classWeight',
      `'classWeight' must contain every class in the data, but has no weight for class ${index}, the class of sample ` +
        `${sample}.`,
    );
  });
}

/** Position of the first largest of `size` numbers. */
function largest(data: ArrayLike<number>, start: number, size: number): number {
  let best = 0;
  for (let index = 1; index < size; index++) if (data[start + index]! > data[start + best]!) best = index;
  return best;
}
