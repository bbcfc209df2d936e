/** What each output's loss counts in the total that is trained on: an extension, since tfjs's `compile` has no such weights. */
import type * as tf from '@tensorflow/tfjs';
import { ConfigurationError } from '../errors.js';

export type LossWeights = readonly number[] | Readonly<Record<string, number>>;

/** One number an output, in the model's order; without `weights` all of them count 1. */
export function lossWeightsOf(model: tf.LayersModel, weights: LossWeights | undefined): readonly number[] {
  const { outputNames } = model;
  if (weights === undefined) return outputNames.map(() => 1);
  if (isList(weights)) {
    if (weights.length === outputNames.length) return weights;
    throw refusal(
      `is a list of ${weights.length}, but the model has ${outputNames.length} output(s): ${outputNames.join(', ')}.`,
    );
  }
  const unknown = Object.keys(weights).find(name => !outputNames.includes(name));
  if (unknown !== undefined) {
    throw refusal(`names '${unknown}', but the model's outputs are ${outputNames.join(', ')}.`);
  }
  return outputNames.map(name => weights[name] ?? 1);
}

function isList(weights: LossWeights): weights is readonly number[] {
  return Array.isArray(weights);
}

function refusal(problem: string): ConfigurationError {
  return new ConfigurationError('lossWeights', `Option 'lossWeights' ${problem}`);
}
