/**
 * What the kernels of recurrent layers share: sequences as lists of steps, gates, and weights in the form that the steps want.
 *
 * **Hard sigmoid in one op.** tfjs's default gate is clip(x∕5 + 1∕2, 0, 1). TensorFlow has `Relu6` and `Relu6Grad`, so a
 * gate is kept six times as large, relu6(6x∕5 + 3): factor and offset go into the weights once a mini-batch, the six into
 * whatever is multiplied with the gate.
 */
import { tf } from '../../../tf.js';
import type { RecurrentSettings, StepSettings } from '../../fused-operations.js';
import type { FusedKernel } from '../../register-fused.js';
import { graphFunction } from '../graph/index.js';
import { rawOps } from '../raw-ops.js';
import { joinAlong, reshapeRaw } from './dense.js';
import { matMul } from './product.js';

export interface Gate {
  /** What the gate's value is multiplied by. */
  readonly magnitude: number;
  /** What its pre-activation is multiplied by, and what is added then. */
  readonly factor: number;
  readonly offset: number;
  readonly apply: (z: tf.Tensor) => tf.Tensor;
  readonly gradient: (dy: tf.Tensor, y: tf.Tensor) => tf.Tensor;
}

const map = (op: string, ...inputs: tf.Tensor[]): tf.Tensor => rawOps().map(op, ...inputs);

export const GATES: Readonly<Record<RecurrentSettings['gate'], Gate>> = {
  sigmoid: {
    magnitude: 1,
    factor: 1,
    offset: 0,
    apply: z => map('Sigmoid', z),
    gradient: (dy, y) => map('SigmoidGrad', y, dy),
  },
  hardSigmoid: {
    magnitude: 6,
    factor: 6 / 5,
    offset: 3,
    apply: z => map('Relu6', z),
    gradient: (dy, y) => map('Relu6Grad', dy, y),
  },
};

interface StepActivation {
  readonly apply: (z: tf.Tensor) => tf.Tensor;
  readonly gradient: (dy: tf.Tensor, y: tf.Tensor) => tf.Tensor;
}

export const STEP_ACTIVATIONS: Readonly<Record<StepSettings['activation'], StepActivation>> = {
  tanh: { apply: z => map('Tanh', z), gradient: (dy, y) => map('TanhGrad', y, dy) },
  sigmoid: { apply: z => map('Sigmoid', z), gradient: (dy, y) => map('SigmoidGrad', y, dy) },
  relu: { apply: z => map('Relu', z), gradient: (dy, y) => map('ReluGrad', dy, y) },
  linear: { apply: z => map('Identity', z), gradient: dy => map('Identity', dy) },
};

/** A vector with `size` numbers for each of the blocks of a weight's last axis. */
export function blocks(size: number, ...values: number[]): tf.Tensor {
  const vector = new Float32Array(size * values.length);
  for (const [index, value] of values.entries()) vector.fill(value, index * size, (index + 1) * size);
  return tf.tensor1d(vector);
}

/** [batch, time, …] and [time, batch, …] into each other. */
export function swapTime(x: tf.Tensor): tf.Tensor {
  const raw = rawOps();
  const order = tf.tensor1d([1, 0, 2], 'int32');
  const swapped = raw.one('Transpose', [...raw.float, raw.type('Tperm', 'int32')], x, order);
  order.dispose();
  return swapped;
}

/** The slices along an axis; along the first one they share the memory of `x`. */
export function unstack(x: tf.Tensor, axis: number): tf.Tensor[] {
  const raw = rawOps();
  const count = x.shape[axis]!;
  return raw.many('Unpack', [...raw.float, raw.ints('num', count), raw.ints('axis', axis)], [x], count);
}

export function stack(slices: readonly tf.Tensor[], axis: number): tf.Tensor {
  const raw = rawOps();
  return raw.one('Pack', [...raw.float, raw.ints('N', slices.length), raw.ints('axis', axis)], ...slices);
}

/** Of each of the parts those of all steps, [time, …]. */
export function stackParts<Part extends string>(
  steps: readonly Readonly<Record<Part, tf.Tensor>>[],
  parts: readonly Part[],
): tf.Tensor[] {
  return parts.map(part => {
    const slices = steps.map(step => step[part]);
    return stack(slices, 0);
  });
}

/** A kernel's forward function from a graph of x, K, R and perhaps b, whose first output is the layer's; the others are hidden. */
export function forwardOf<Settings extends StepSettings>(
  graph: (inputs: readonly tf.Tensor[], settings: Settings) => tf.Tensor[],
): FusedKernel<Settings>['forward'] {
  return ({ x, kernel, recurrentKernel, bias }, settings, hide) => {
    const inputs = [x!, kernel!, recurrentKernel!, ...(bias === undefined ? [] : [bias])];
    const [y, ...hidden] = graph(inputs, settings) as [tf.Tensor, ...tf.Tensor[]];
    hide(hidden);
    return y;
  };
}

/** Slices of [batch, width] under each other, as the rows of one matrix. */
export function stackRows(slices: readonly tf.Tensor[]): tf.Tensor {
  const [batch, width] = slices[0]!.shape as [number, number];
  const stacked = stack(slices, 0);
  const rows = reshapeRaw(stacked, [slices.length * batch, width]);
  stacked.dispose();
  return rows;
}

/** The rows of a matrix as one slice of [batch, width] a step. */
export function unstackRows(rows: tf.Tensor, steps: number): tf.Tensor[] {
  const [count, width] = rows.shape as [number, number];
  const stacked = reshapeRaw(rows, [steps, count / steps, width]);
  const slices = unstack(stacked, 0);
  stacked.dispose();
  return slices;
}

export function splitColumns(x: tf.Tensor, count: number): tf.Tensor[] {
  const raw = rawOps();
  const axis = tf.scalar(x.rank - 1, 'int32');
  const parts = raw.many('Split', [...raw.float, raw.ints('num_split', count)], [axis, x], count);
  axis.dispose();
  return parts;
}

export function joinColumns(parts: readonly tf.Tensor[]): tf.Tensor {
  return joinAlong(parts[0]!.rank - 1, parts);
}

/** What is in the order of computation in the order of time, and back. */
export function inTime<T>(steps: readonly T[], { goBackwards }: StepSettings): T[] {
  return goBackwards ? [...steps].reverse() : [...steps];
}

/** Steps in the order of computation. */
export function timeOrder(steps: number, goBackwards: boolean): number[] {
  return Array.from({ length: steps }, (_, index) => (goBackwards ? steps - 1 - index : index));
}

/** What the layer returns of its outputs, in the order of computation, each multiplied by `factor`. */
export function outputOf(
  outputs: readonly tf.Tensor[],
  { returnSequences }: StepSettings,
  factor: tf.Tensor,
): tf.Tensor {
  const chosen = returnSequences ? stack(outputs, 1) : outputs.at(-1)!;
  // Also where the factor is 1: the last output must not be both the layer's result and what its gradient reads.
  return rawOps().map('Mul', chosen, factor);
}

/** The sum of what is there. */
export function addPresent(a: tf.Tensor | undefined, b: tf.Tensor | undefined): tf.Tensor {
  if (a === undefined || b === undefined) return (a ?? b)!;
  return rawOps().map('AddV2', a, b);
}

/** Gradients of the outputs by place in the order of computation, multiplied by `factor`. */
export function outputGradients(
  dy: tf.Tensor,
  steps: number,
  returnSequences: boolean,
  factor: number,
): (tf.Tensor | undefined)[] {
  const scaled = factor === 1 ? dy : rawOps().map('Mul', dy, tf.scalar(factor));
  if (returnSequences) return unstack(scaled, 1);
  const gradients: (tf.Tensor | undefined)[] = Array.from({ length: steps }, () => undefined);
  gradients[steps - 1] = scaled;
  return gradients;
}

const throughProjection = graphFunction<{ steps: number }>('projection-gradient', ([dz, k], { steps }) => {
  const rows = matMul(dz!, k!, false, true);
  return [swapTime(reshapeRaw(rows, [steps, rows.shape[0]! / steps, rows.shape[1]!]))];
});

/** The gradient of x from that of all steps' x·K, as rows. */
export function inputGradient(dz: tf.Tensor, k: tf.Tensor, x: tf.Tensor): tf.Tensor {
  return throughProjection([dz, k], { steps: x.shape[1]! })[0]!;
}
