/** Tensors as a user gives them: one, a list, or a dictionary by name; checked, put in the model's order, read as arrays. */

import { ConfigurationError } from '../../../errors.js';
import type { ElementType } from '../../../protocol/tensor.js';
import { tf } from '../../../tf.js';
import type { SampleArray } from '../mini-batch.js';

/** What `fit`, `evaluate` and `predict` take for x and y. */
export type UserTensors = tf.Tensor | tf.Tensor[] | { [name: string]: tf.Tensor };

/** Refuses what is no tensor, no list of them and no dictionary, and tensors that cannot be read. */
export function checkTensors(path: string, value: unknown): asserts value is UserTensors {
  const tensors = listed(value);
  const culprit = tensors.length > 0 ? tensors.find(tensor => !(tensor instanceof tf.Tensor)) : value;
  if (tensors.length === 0 || culprit !== undefined || tensors.includes(undefined)) {
    throw new ConfigurationError(
      path,
      `'${path}' takes a tf.Tensor, a list of tensors or a dictionary of tensors by name, but got ${nameOf(culprit)}. ` +
        'Make one with tf.tensor().',
    );
  }
  for (const tensor of tensors as tf.Tensor[]) checkReadable(path, tensor);
}

/** The tensors of x, y or sample weights as a list, unchecked. */
export function listed(value: unknown): readonly unknown[] {
  if (value instanceof tf.Tensor) return [value];
  if (Array.isArray(value)) return value;
  return value !== null && typeof value === 'object' ? Object.values(value) : [value];
}

/** A value's class, for messages. */
export function nameOf(value: unknown): string {
  return (value as { constructor?: { name?: string } } | null)?.constructor?.name ?? String(value);
}

function checkReadable(path: string, tensor: tf.Tensor): void {
  if (tensor.isDisposed) throw new ConfigurationError(path, `'${path}' is a tensor that has been disposed.`);
  const { dtype } = tensor;
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return;
  throw new ConfigurationError(
    path,
    `'${path}' has dtype '${dtype}', but only float32, int32 and bool can be trained on. Encode it as numbers first.`,
  );
}

/** One tensor for each of `names`: the model's inputs or outputs. */
export function inModelOrder(
  path: string,
  kind: 'input' | 'output',
  names: readonly string[],
  value: UserTensors,
): readonly tf.Tensor[] {
  const tensors =
    value instanceof tf.Tensor ? [value] : Array.isArray(value) ? value : names.map(name => entry(name));
  if (tensors.length === names.length) return tensors;
  throw new ConfigurationError(
    path,
    `The model has ${names.length} ${kind}(s) (${names.join(', ')}), but ${path} holds ${tensors.length} tensor(s).`,
  );

  function entry(name: string): tf.Tensor {
    const tensor = (value as { [name: string]: tf.Tensor })[name];
    if (tensor !== undefined) return tensor;
    throw new ConfigurationError(
      path,
      `${path} has no entry for the ${kind} '${name}'; it has ${Object.keys(value).join(', ')}.`,
    );
  }
}

/** One tensor per input, in the model's order, each of a shape that the input takes. */
export function inputsOf(path: string, model: tf.LayersModel, x: UserTensors): readonly tf.Tensor[] {
  const tensors = inModelOrder(path, 'input', model.inputNames, x);
  for (const [index, tensor] of tensors.entries()) {
    const expected = model.inputs[index]!.shape;
    // As in tfjs, numbers without an axis of their own are samples of one number each.
    const shape = tensor.rank === 1 ? [...tensor.shape, 1] : tensor.shape;
    if (!fitsShape(shape, expected)) {
      throw new ConfigurationError(
        path,
        `Input '${model.inputNames[index]}' takes shape [${showShape(expected)}], but ${path} has ` +
          `shape [${tensor.shape.join(', ')}].`,
      );
    }
    if (shape[0] === 0) {
      throw new ConfigurationError(path, `'${path}' has shape [${tensor.shape.join(', ')}]: no samples.`);
    }
  }
  return tensors;
}

/** Whether a tensor's shape is one that a layer's shape stands for; the batch axis is left out. */
export function fitsShape(shape: readonly number[], expected: readonly (number | null)[]): boolean {
  return (
    shape.length === expected.length &&
    expected.every((size, axis) => axis === 0 || size === null || size === shape[axis])
  );
}

export function showShape(shape: readonly (number | null)[]): string {
  return shape.map(size => size ?? 'null').join(', ');
}

/** Reads a tensor's numbers. With `asColumn`, samples of one number each get the axis that layers expect. */
export function toSampleArray(tensor: tf.Tensor, asColumn: boolean): SampleArray {
  const shape = asColumn && tensor.rank === 1 ? [1] : tensor.shape.slice(1);
  return {
    header: { dtype: tensor.dtype as ElementType, shape },
    data: tensor.dataSync() as SampleArray['data'],
  };
}
