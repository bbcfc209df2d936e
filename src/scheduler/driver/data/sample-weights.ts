/**
 * Sample weights: what each sample counts in the loss of an output. An extension, since tfjs refuses them; the arithmetic is
 * that of its class weights, the mean over samples of loss times weight, and both kinds multiply.
 */

import { ConfigurationError } from '../../../errors.js';
import { tf } from '../../../tf.js';
import type { SampleWeights } from '../mini-batch.js';
import { nameOf } from './tensors.js';

/** One weight a sample: a tensor for a single output, or one for each output as a list or by name. */
export type UserSampleWeights = tf.Tensor | readonly (tf.Tensor | null)[] | { [output: string]: tf.Tensor };

/** @param path the argument that they came in, for messages */
export function readSampleWeights(
  path: string,
  weights: unknown,
  outputNames: readonly string[],
  sampleCount: number,
): SampleWeights {
  if (weights === undefined || weights === null) return outputNames.map(() => undefined);
  return perOutput(path, weights, outputNames).map((tensor, output) => {
    if (tensor === undefined || tensor === null) return undefined;
    if (!(tensor instanceof tf.Tensor)) throw refusal(path, outputNames, nameOf(tensor));
    if (tensor.isDisposed)
      throw new ConfigurationError(path, `'${path}' is a tensor that has been disposed.`);
    const isColumn = tensor.rank === 1 || (tensor.rank === 2 && tensor.shape[1] === 1);
    const isNumeric = tensor.dtype === 'float32' || tensor.dtype === 'int32' || tensor.dtype === 'bool';
    if (!isColumn || !isNumeric || tensor.shape[0] !== sampleCount) {
      throw new ConfigurationError(
        path,
        `'${path}' takes one weight a sample, a numeric tensor of shape [${sampleCount}], for output '${outputNames[output]}', ` +
          `but got ${tensor.dtype} of shape [${tensor.shape.join(', ')}].`,
      );
    }
    const values = Float32Array.from(tensor.dataSync());
    const wrong = values.findIndex(weight => !Number.isFinite(weight));
    if (wrong === -1) return values;
    throw new ConfigurationError(path, `'${path}' holds ${values[wrong]} for sample ${wrong}.`);
  });
}

function perOutput(path: string, weights: unknown, outputNames: readonly string[]): readonly unknown[] {
  if (weights instanceof tf.Tensor) {
    if (outputNames.length === 1) return [weights];
    throw refusal(path, outputNames, 'one tensor');
  }
  if (Array.isArray(weights)) {
    if (weights.length === outputNames.length) return weights;
    throw refusal(path, outputNames, `a list of ${weights.length}`);
  }
  if (typeof weights !== 'object') throw refusal(path, outputNames, String(weights));
  const unknown = Object.keys(weights as object).find(name => !outputNames.includes(name));
  if (unknown !== undefined) throw refusal(path, outputNames, `an object with '${unknown}'`);
  return outputNames.map(name => (weights as Record<string, unknown>)[name]);
}

function refusal(path: string, outputNames: readonly string[], got: string): ConfigurationError {
  const accepted = outputNames.length === 1 ? 'a tensor with one weight a sample' : 'such a tensor for each';
  return new ConfigurationError(
    path,
    `The model has ${outputNames.length} output(s) (${outputNames.join(', ')}): '${path}' takes ${accepted}, as a list or by ` +
      `output name, but got ${got}.`,
  );
}

/** The product of two kinds of weights. */
export function multiplyWeights(left: SampleWeights, right: SampleWeights): SampleWeights {
  return left.map((weights, output) => {
    const others = right[output];
    if (weights === undefined || others === undefined) return weights ?? others;
    return weights.map((weight, sample) => weight * others[sample]!);
  });
}
