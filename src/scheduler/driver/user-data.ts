/**
 * The user's tensors as plain arrays for the feed. tfjs's own checks of names, ranks, shapes and lengths run first, so its
 * messages are kept; what it does not check (dtypes, things that are no tensors) is checked here.
 */
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError } from '../../errors.js';
import type { ElementType } from '../../protocol/tensor.js';
import { compiled } from '../../tfjs/internals.js';
import { type SampleArray, sampleSize } from './mini-batch.js';

/** What `fit`, `evaluate` and `predict` take for x and y. */
export type UserTensors = tf.Tensor | tf.Tensor[] | { [name: string]: tf.Tensor };

export interface UserData {
  readonly inputs: readonly SampleArray[];
  readonly targets: readonly SampleArray[];
  /** One weight a sample for each output, from class weights. */
  readonly sampleWeights: readonly (Float32Array | undefined)[];
  readonly sampleCount: number;
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

/** Checks x and y as `model.fit` does, and class weights with them. */
export async function trainingData(
  model: tf.LayersModel,
  x: unknown,
  y: unknown,
  classWeight: unknown,
  batchSize: number,
): Promise<UserData> {
  checkPair(model, x, y);
  const checked = await asConfigurationError('x and y', () =>
    compiled(model).standardizeUserData(x, y, undefined, classWeight, false, batchSize),
  );
  const [xs, ys, weights] = checked;
  const data = toUserData(xs, ys);
  // tfjs leaves a hole for an output without class weights.
  const sampleWeights = (weights ?? []).map(weight =>
    weight === null ? undefined : Float32Array.from(weight.dataSync()),
  );
  tf.dispose((weights ?? []).filter(weight => weight !== null));
  disposeNew(xs, x);
  disposeNew(ys, y);
  return { ...data, sampleWeights };
}

/** Checks x and y as `model.evaluate` does. */
export async function evaluationData(
  model: tf.LayersModel,
  x: unknown,
  y: unknown,
  batchSize: number,
): Promise<UserData> {
  checkPair(model, x, y);
  const [xs, ys] = await asConfigurationError('x and y', async () =>
    compiled(model).standardizeUserDataXY(x, y, true, batchSize),
  );
  const data = toUserData(xs, ys);
  disposeNew(xs, x);
  disposeNew(ys, y);
  return data;
}

/** Checks x as `model.predict` does. */
export function predictionData(model: tf.LayersModel, x: unknown): UserData {
  checkTensors('x', x);
  const tensors = checkInputs(model, x as UserTensors);
  const raised = tensors.map(tensor => (tensor.rank === 1 ? tf.expandDims(tensor, 1) : tensor));
  const data = toUserData(raised, []);
  disposeNew(raised, x);
  return data;
}

/** What tfjs's checks of x and y leave out, or say without a name. */
function checkPair(model: tf.LayersModel, x: unknown, y: unknown): void {
  checkTensors('x', x);
  checkTensors('y', y);
  checkInputs(model, x as UserTensors);
}

/** One tensor per input, in the model's order, each of a shape that the input takes. */
function checkInputs(model: tf.LayersModel, x: UserTensors): tf.Tensor[] {
  const tensors = inModelOrder(model.inputNames, x);
  if (tensors.length !== model.inputs.length) {
    throw new ConfigurationError(
      'x',
      `The model has ${model.inputs.length} input(s) (${model.inputNames.join(', ')}), but x holds ${tensors.length} tensor(s).`,
    );
  }
  for (const [index, tensor] of tensors.entries()) {
    const expected = model.inputs[index]!.shape;
    // As in tfjs, numbers without an axis of their own are samples of one number each.
    const shape = tensor.rank === 1 ? [...tensor.shape, 1] : tensor.shape;
    const fits =
      shape.length === expected.length &&
      expected.every((size, axis) => axis === 0 || size === null || size === shape[axis]);
    if (!fits) {
      throw new ConfigurationError(
        'x',
        `Input '${model.inputNames[index]}' takes shape [${expected.map(size => size ?? 'null').join(', ')}], but x has ` +
          `shape [${tensor.shape.join(', ')}].`,
      );
    }
    if (shape[0] === 0)
      throw new ConfigurationError('x', `'x' has shape [${tensor.shape.join(', ')}]: no samples.`);
  }
  return tensors;
}

function inModelOrder(names: readonly string[], x: UserTensors): tf.Tensor[] {
  if (x instanceof tf.Tensor) return [x];
  if (Array.isArray(x)) return x;
  return names.map(name => {
    const tensor = x[name];
    if (tensor === undefined) {
      throw new ConfigurationError(
        'x',
        `x has no entry for the input '${name}'; it has ${Object.keys(x).join(', ')}.`,
      );
    }
    return tensor;
  });
}

function toUserData(xs: readonly tf.Tensor[], ys: readonly tf.Tensor[]): UserData {
  const inputs = xs.map(tensor => toSampleArray('x', tensor));
  const sampleCount = xs[0]!.shape[0]!;
  for (const tensor of xs) {
    if (tensor.shape[0] !== sampleCount) {
      throw new ConfigurationError(
        'x',
        `All inputs must have the same number of samples, but they have ${xs.map(other => other.shape[0]).join(', ')}.`,
      );
    }
  }
  return { inputs, targets: ys.map(tensor => toSampleArray('y', tensor)), sampleWeights: [], sampleCount };
}

function toSampleArray(path: string, tensor: tf.Tensor): SampleArray {
  const { dtype, shape } = tensor;
  if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool') {
    throw new ConfigurationError(
      path,
      `'${path}' has dtype '${dtype}', but only float32, int32 and bool can be trained on. Encode it as numbers first.`,
    );
  }
  return {
    header: { dtype: dtype satisfies ElementType, shape: shape.slice(1) },
    data: tensor.dataSync() as SampleArray['data'],
  };
}

function checkTensors(path: string, value: unknown): void {
  const tensors =
    value instanceof tf.Tensor
      ? [value]
      : Array.isArray(value)
        ? value
        : value !== null && typeof value === 'object'
          ? Object.values(value)
          : [value];
  const isFull = tensors.length > 0;
  if (isFull && tensors.every(tensor => tensor instanceof tf.Tensor)) {
    for (const tensor of tensors as tf.Tensor[]) {
      if (tensor.isDisposed)
        throw new ConfigurationError(path, `'${path}' is a tensor that has been disposed.`);
      if (tensor.dtype === 'string' || tensor.dtype === 'complex64') toSampleArray(path, tensor);
    }
    return;
  }
  const culprit = isFull ? tensors.find(tensor => !(tensor instanceof tf.Tensor)) : value;
  const name = (culprit as { constructor?: { name?: string } } | null)?.constructor?.name ?? String(culprit);
  throw new ConfigurationError(
    path,
    `'${path}' takes a tf.Tensor, a list of tensors or a dictionary of tensors by name, but got ${name}. ` +
      'Make one with tf.tensor().',
  );
}

/** Runs one of tfjs's checks and says which argument it was about. */
async function asConfigurationError<T>(path: string, check: () => Promise<T>): Promise<T> {
  try {
    return await check();
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
