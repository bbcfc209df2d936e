/** Reads what a dataset yields as a mini-batch: checks it, copies its numbers, and disposes its tensors as tfjs does. */

import { ConfigurationError } from '../../../errors.js';
import { takesLabels } from '../../../protocol/stage-spec.js';
import { tf } from '../../../tf.js';
import { type MiniBatch, type SampleArray, type SampleWeights, sampleSize } from '../mini-batch.js';
import type { ClassWeight } from './class-weights.js';
import { weighClasses } from './class-weights.js';
import { multiplyWeights, readSampleWeights } from './sample-weights.js';
import { checkLabels } from './targets.js';
import {
  checkTensors,
  fitsShape,
  inModelOrder,
  inputsOf,
  nameOf,
  showShape,
  toSampleArray,
} from './tensors.js';
import type { DataOwner } from './user-data.js';

/**
 * @param where the element's place in its dataset, for messages
 * @throws ConfigurationError with the path `dataset`
 */
export function readDatasetBatch(
  owner: DataOwner,
  element: unknown,
  where: string,
  classWeights: readonly (ClassWeight | undefined)[],
): MiniBatch {
  const { xs, ys, sampleWeight } = partsOf(element, where);
  try {
    return read(owner, xs, ys, sampleWeight, classWeights);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new ConfigurationError('dataset', `${where}: ${error.message}${hintFor(error, xs, ys)}`, {
      cause: error,
    });
  } finally {
    tf.dispose([xs, ys, sampleWeight] as tf.TensorContainer);
  }
}

function partsOf(element: unknown, where: string): { xs: unknown; ys: unknown; sampleWeight: unknown } {
  const { xs, ys, sampleWeight } = (element ?? {}) as Record<string, unknown>;
  const isPair = xs !== undefined && xs !== null && ys !== undefined && ys !== null;
  if (typeof element === 'object' && isPair) return { xs, ys, sampleWeight };
  const got =
    typeof element === 'object' && element !== null && !Array.isArray(element)
      ? `an object with ${Object.keys(element).join(', ') || 'nothing in it'}`
      : nameOf(element);
  throw new ConfigurationError(
    'dataset',
    `${where}: a dataset yields objects { xs, ys }, each a tensor, a list of tensors or a dictionary of tensors by name, ` +
      `but got ${got}.`,
  );
}

function hintFor({ message }: ConfigurationError, xs: unknown, ys: unknown): string {
  if (message.includes('disposed')) {
    return ' The tensors of a batch are disposed once they are read, as in tfjs: yield new ones or clones.';
  }
  const isRaw = [xs, ys].some(value => typeof value === 'number' || ArrayBuffer.isView(value));
  return isRaw ? ' A dataset of single samples becomes one of mini-batches by dataset.batch(size).' : '';
}

function read(
  owner: DataOwner,
  xs: unknown,
  ys: unknown,
  sampleWeight: unknown,
  classWeights: readonly (ClassWeight | undefined)[],
): MiniBatch {
  const { model, compile } = owner;
  const outputNames = compile.outputs.map(({ name }) => name);
  checkTensors('xs', xs);
  checkTensors('ys', ys);
  const inputs = inputsOf('xs', model, xs);
  const outputs = inModelOrder('ys', 'output', outputNames, ys);
  const rows = inputs[0]!.shape[0]!;
  checkRows(inputs, model.inputNames, rows);
  checkRows(outputs, outputNames, rows);
  const targets = outputs.map((tensor, output) => targetOf(owner, tensor, output));
  checkLabels('ys', compile, targets);
  const given: SampleWeights = readSampleWeights('sampleWeight', sampleWeight, outputNames, rows);
  return {
    rows: Uint32Array.from({ length: rows }, (_, row) => row),
    inputs: inputs.map(tensor => toSampleArray(tensor, true)),
    targets,
    sampleWeights: multiplyWeights(given, weighClasses(classWeights, targets)),
  };
}

function checkRows(tensors: readonly tf.Tensor[], names: readonly string[], rows: number): void {
  const index = tensors.findIndex(tensor => tensor.shape[0] !== rows);
  if (index === -1) return;
  throw new ConfigurationError(
    'dataset',
    `All tensors of a batch must have the same number of samples: the first input has ${rows}, but '${names[index]}' has ` +
      `${tensors[index]!.shape[0] ?? 'none'}.`,
  );
}

/**
 * The target of an output. tfjs does not look at its shape here, so that a wrong one is broadcast into a wrong loss; a loss
 * of the user's own may want any shape.
 */
function targetOf({ compile }: DataOwner, tensor: tf.Tensor, output: number): SampleArray {
  const { name, shape } = compile.outputs[output]!;
  if (typeof compile.losses[output] !== 'string') return toSampleArray(tensor, false);
  const target = toSampleArray(tensor, true);
  const targetShape = [tensor.shape[0]!, ...target.header.shape];
  const isLabels = takesLabels(compile.losses[output]);
  const fits = isLabels
    ? sampleSize(target) === shape.slice(1, -1).reduce<number>((size, axis) => size * (axis ?? 0), 1) ||
      shape.slice(1, -1).includes(null)
    : fitsShape(targetShape, shape);
  if (fits) return target;
  throw new ConfigurationError(
    'ys',
    `The target of output '${name}' has shape [${tensor.shape.join(', ')}], but its loss takes ` +
      `[${showShape(isLabels ? shape.slice(0, -1) : shape)}].`,
  );
}
