/**
 * The ops that normalise images, [batch, height, width, channels], with an activation behind them.
 *
 * TensorFlow's oneDNN kernel can also clip at zero while it writes, but only TensorFlow's optimizer of inference graphs ever
 * asks it to. Asked directly, it gives the same bits as the two ops, but for NaN, and saves a pass over the images: 0.45 ms
 * against 0.92 for [64, 25, 5, 64].
 */
import * as tf from '@tensorflow/tfjs';
import type { FusedActivation } from '../../fused-operations.js';
import type { Statistics } from '../../whole-statistics.js';
import { areAlike } from '../graph/index.js';
import { type Attribute, rawOps } from '../raw-ops.js';
import { activateInline } from './activations.js';

/** (x − mean)∕√(variance + ε)·scale + offset, activated. */
export interface Normalization {
  readonly scale: tf.Tensor;
  readonly offset: tf.Tensor;
  readonly epsilon: number;
  readonly activation: FusedActivation;
}

/** Normalises with the images' own statistics. */
export function normalize(
  images: tf.Tensor,
  normalization: Normalization,
): { readonly y: tf.Tensor; readonly statistics: Statistics } {
  const none = tf.tensor1d([]);
  const unknown = { mean: none, variance: none };
  try {
    if (mayRectify(normalization)) {
      const [y, mean, variance] = rectified(images, normalization, unknown, true);
      if (areTame(mean, variance)) return { y, statistics: { mean, variance } };
      tf.dispose([y, mean, variance]);
    }
    const [z, mean, variance] = plain(images, normalization, unknown, true);
    return { y: activateInline(z, normalization.activation), statistics: { mean, variance } };
  } finally {
    none.dispose();
  }
}

/** Normalises with statistics that are given. */
export function normalizeWith(
  images: tf.Tensor,
  normalization: Normalization,
  statistics: Statistics,
): tf.Tensor {
  const isRectified = mayRectify(normalization) && areTame(statistics.mean, statistics.variance);
  const run = isRectified ? rectified : plain;
  const [y, ...unused] = run(images, normalization, statistics, false);
  tf.dispose(unused);
  return isRectified ? y : activateInline(y, normalization.activation);
}

/** Attributes that the op and its gradient share. */
function sharedAttributes(epsilon: number, isTraining: boolean): Attribute[] {
  const raw = rawOps();
  return [...raw.float, raw.type('U'), raw.number('epsilon', epsilon), raw.bool('is_training', isTraining)];
}

/**
 * The gradients of images, scale and offset, that of the images as if these were all that count for the statistics.
 *
 * @param dy of the output before its activation
 */
export function normalizationGradients(
  dy: tf.Tensor,
  images: tf.Tensor,
  { scale, epsilon }: Pick<Normalization, 'scale' | 'epsilon'>,
  { mean, variance }: Statistics,
): tf.Tensor[] {
  const none = tf.tensor1d([]);
  const inputs = [dy, images, scale, mean, variance, none];
  const made = rawOps().many('FusedBatchNormGradV3', sharedAttributes(epsilon, true), inputs, 5);
  tf.dispose([none, ...made.slice(3)]);
  return made.slice(0, 3);
}

type Outputs = readonly [y: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor];
type Run = typeof plain;

function mayRectify({ activation, scale, offset, epsilon }: Normalization): boolean {
  return activation === 'relu' && canRectify() && epsilon > 1 / LARGEST_TAME && areTame(scale, offset);
}

/** Far below where a product of two of them overflows. */
const LARGEST_TAME = 1e15;

/**
 * The op makes zeros of NaN in eight channels and more, where a rectifier passes it on and training is seen to diverge. Where scale,
 * offset and statistics are numbers, and not near infinity, none can come up: one in the images is in their mean, and a variance of 0
 * has ε beside it.
 */
function areTame(...tensors: readonly tf.Tensor[]): boolean {
  return tensors.every(tensor => tensor.dataSync().every(value => Math.abs(value) < LARGEST_TAME));
}

const plain = (
  images: tf.Tensor,
  normalization: Pick<Normalization, 'scale' | 'offset' | 'epsilon'>,
  given: Statistics,
  isTraining: boolean,
): Outputs => runOp('FusedBatchNormV3', [], images, normalization, given, isTraining);

const rectified: Run = (...inputs) => {
  const raw = rawOps();
  const own = [
    raw.string('_kernel', 'MklNameChangeOp'),
    raw.string('activation_mode', 'Relu'),
    raw.ints('num_side_inputs', 0),
  ];
  return runOp('_MklNativeFusedBatchNormEx', own, ...inputs);
};

/**
 * Output 2 of the op is the unbiased variance, which tfjs's running statistics do not want (and NaN for one element);
 * output 4 is the biased one.
 */
function runOp(op: string, own: readonly Attribute[], ...inputs: Parameters<Run>): Outputs {
  const [images, { scale, offset, epsilon }, { mean, variance }, isTraining] = inputs;
  const raw = rawOps();
  const attributes = [...sharedAttributes(epsilon, isTraining), ...own];
  const outputs = raw.many(op, attributes, [images, scale, offset, mean, variance], 6);
  tf.dispose([outputs[1]!, outputs[2]!, outputs[5]!]);
  return [outputs[0]!, outputs[3]!, outputs[4]!];
}

/** Whether this TensorFlow has the op and it does what the two do; `undefined` before anybody asked. */
let isRectifying: boolean | undefined;

function canRectify(): boolean {
  isRectifying ??= process.env['TF_ENABLE_ONEDNN_OPTS'] !== '0' && tf.tidy(rectifiesRightly);
  return isRectifying;
}

function rectifiesRightly(): boolean {
  const images = tf.tensor4d([3, -1, 2, 8, -5, 4, 1, 0.5, -2, 7, 6, -4], [3, 2, 1, 2]);
  const normalization = { scale: tf.tensor1d([2, -1]), offset: tf.tensor1d([0.5, -0.25]), epsilon: 1e-3 };
  const none = tf.tensor1d([]);
  const given = { mean: tf.tensor1d([1, -0.5]), variance: tf.tensor1d([0.5, 3]) };
  return [true, false].every(isTraining => {
    const statistics = isTraining ? { mean: none, variance: none } : given;
    const [y, ...others] = plain(images, normalization, statistics, isTraining);
    try {
      const [actual, ...otherActual] = rectified(images, normalization, statistics, isTraining);
      const expected = tf.relu(y);
      return isTraining
        ? areAlike([actual, ...otherActual], [expected, ...others])
        : areAlike([actual], [expected]);
    } catch {
      // Not every build of TensorFlow has oneDNN's kernels: those for ARM do not.
      return false;
    }
  });
}
