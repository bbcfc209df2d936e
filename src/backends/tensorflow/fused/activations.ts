/**
 * Activations and their gradients as one op each, where tfjs composes the gradients of element-wise operations. Selu and
 * relu6 are not here: TensorFlow's gradients differ from tfjs's at 0 and at 6.
 */
import { tf } from '../../../tf.js';
import { isTapeOn } from '../../../tfjs/internals.js';
import type { FusedActivation } from '../../fused-operations.js';
import { hasKernels } from '../kernels.js';
import { rawOps } from '../raw-ops.js';
import { register } from './kernel.js';

interface Activation {
  /** Which side of the activation its gradient reads. */
  readonly reads: 'input' | 'output';
  readonly apply: (z: tf.Tensor, alpha: number) => tf.Tensor;
  /** @param known what it reads */
  readonly gradient: (dy: tf.Tensor, known: tf.Tensor, alpha: number) => tf.Tensor;
}

const map = (op: string, ...inputs: tf.Tensor[]): tf.Tensor => rawOps().map(op, ...inputs);

function leaky(alpha: number): ReturnType<typeof rawOps>['float'] {
  const raw = rawOps();
  return [...raw.float, raw.number('alpha', alpha)];
}

/** y·(dy − Σ dy·y) over the last axis: for 8,192 rows of 64, Millrace's op takes 0.33 ms and the four of TensorFlow's 0.9. */
function softmaxGradient(dy: tf.Tensor, y: tf.Tensor): tf.Tensor {
  const raw = rawOps();
  if (hasKernels()) return raw.one('MillraceSoftmaxGradient', [], y, dy);
  const product = raw.map('Mul', dy, y);
  const axis = tf.scalar(y.rank - 1, 'int32');
  const attributes = [...raw.float, raw.bool('keep_dims', true), raw.type('Tidx', 'int32')];
  const sum = raw.one('Sum', attributes, product, axis);
  const difference = raw.map('Sub', dy, sum);
  const result = raw.map('Mul', difference, y);
  tf.dispose([product, axis, sum, difference]);
  return result;
}

/** `linear` is absent: it needs no kernel. */
const ACTIVATIONS: ReadonlyMap<FusedActivation, Activation> = new Map<FusedActivation, Activation>([
  ['relu', { reads: 'output', apply: z => map('Relu', z), gradient: (dy, y) => map('ReluGrad', dy, y) }],
  [
    'sigmoid',
    { reads: 'output', apply: z => map('Sigmoid', z), gradient: (dy, y) => map('SigmoidGrad', y, dy) },
  ],
  ['tanh', { reads: 'output', apply: z => map('Tanh', z), gradient: (dy, y) => map('TanhGrad', y, dy) }],
  ['elu', { reads: 'output', apply: z => map('Elu', z), gradient: (dy, y) => map('EluGrad', dy, y) }],
  ['softmax', { reads: 'output', apply: z => map('Softmax', z), gradient: softmaxGradient }],
  [
    'softplus',
    { reads: 'input', apply: z => map('Softplus', z), gradient: (dy, x) => map('SoftplusGrad', dy, x) },
  ],
  [
    'softsign',
    { reads: 'input', apply: z => map('Softsign', z), gradient: (dy, x) => map('SoftsignGrad', dy, x) },
  ],
  [
    'leakyRelu',
    {
      reads: 'input',
      apply: (z, alpha) => rawOps().one('LeakyRelu', leaky(alpha), z),
      gradient: (dy, x, alpha) => rawOps().one('LeakyReluGrad', leaky(alpha), dy, x),
    },
  ],
]);

export function isActivation(name: string): name is FusedActivation {
  return name === 'linear' || ACTIVATIONS.has(name as FusedActivation);
}

/** A kernel that applies an activation itself saves its own output alone. */
export function isInline(name: string): name is FusedActivation {
  return name === 'linear' || ACTIVATIONS.get(name as FusedActivation)?.reads === 'output';
}

/** Activates `z` and disposes it, if the result is another tensor. */
export function activateInline(z: tf.Tensor, name: FusedActivation): tf.Tensor {
  const activation = ACTIVATIONS.get(name);
  if (activation === undefined) return z;
  const y = activation.apply(z, 0);
  z.dispose();
  return y;
}

/** The gradient before an inline activation; the same tensor where there is none. */
export function inlineGradient(dy: tf.Tensor, y: tf.Tensor, name: FusedActivation): tf.Tensor {
  return ACTIVATIONS.get(name)?.gradient(dy, y, 0) ?? dy;
}

interface ActivationAttributes {
  readonly name: FusedActivation;
  readonly alpha: number;
}

const runOnOutput = register<ActivationAttributes>({
  name: 'MillraceActivationOfOutput',
  forward: ({ x }, { name, alpha }) => ACTIVATIONS.get(name)!.apply(x!, alpha),
  saves: { inputs: [], output: true },
  gradient: ([dy], [y], { name, alpha }) => ({
    x: () => ACTIVATIONS.get(name)!.gradient(dy!, y!, alpha),
  }),
});

const runOnInput = register<ActivationAttributes>({
  name: 'MillraceActivationOfInput',
  forward: ({ x }, { name, alpha }) => ACTIVATIONS.get(name)!.apply(x!, alpha),
  saves: { inputs: ['x'], output: false },
  gradient: ([dy], [x], { name, alpha }) => ({
    x: () => ACTIVATIONS.get(name)!.gradient(dy!, x!, alpha),
  }),
});

export function activation(x: tf.Tensor, name: FusedActivation, alpha = 0): tf.Tensor {
  const found = ACTIVATIONS.get(name);
  if (found === undefined) return tf.clone(x);
  const run = found.reads === 'output' ? runOnOutput : runOnInput;
  return run({ x }, { name, alpha });
}

/** tfjs's gradient of softmax, which layers that are not lowered use. */
const GRADIENT_OF_TFJS = tf.getGradient('Softmax');

/** On this backend the same op, on others as before; so is a gradient that is differentiated in its turn, which an op has none for. */
const SOFTMAX_GRADIENT: tf.GradConfig = {
  ...GRADIENT_OF_TFJS,
  gradFunc: (dy, saved, attributes) =>
    hasKernels() && tf.getBackend() === 'tensorflow' && !isTapeOn()
      ? { logits: () => softmaxGradient(dy as tf.Tensor, saved[0]!) }
      : GRADIENT_OF_TFJS.gradFunc(dy, saved, attributes),
};

/** Replaces tfjs's gradient in this thread, once. */
export function registerSoftmaxGradient(): void {
  if (tf.getGradient('Softmax') === SOFTMAX_GRADIENT) return;
  tf.unregisterGradient('Softmax');
  tf.registerGradient(SOFTMAX_GRADIENT);
}
