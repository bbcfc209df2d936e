/** Dense layers: product, bias and activation, with separate gradients of the input (B) and the weights (W). */
import { tf } from '../../../tf.js';
import type { FusedActivation } from '../../fused-operations.js';
import { type FactorComputation, sampleProduct } from '../../sample-product.js';
import { rawOps } from '../raw-ops.js';
import { activateInline, inlineGradient } from './activations.js';
import { joinedWhereLarge } from './joined.js';
import { register, sharing } from './kernel.js';
import { matMul } from './product.js';

interface Attributes {
  readonly activation: FusedActivation;
}

/** Adds along the last axis, and disposes what it was given. */
export function addBias(z: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor {
  if (bias === undefined) return z;
  const sum = rawOps().map('BiasAdd', z, bias);
  z.dispose();
  return sum;
}

export function biasGradient(dz: tf.Tensor): tf.Tensor {
  return rawOps().map('BiasAddGrad', dz);
}

/** A matrix of the last axis's rows; another tensor on the same memory, which the caller disposes. */
export function asMatrix(x: tf.Tensor): tf.Tensor {
  const columns = x.shape[x.rank - 1]!;
  return reshapeRaw(x, [x.size / columns, columns]);
}

/** As `asMatrix`, but no op runs for what is a matrix already. */
function matrixOf(x: tf.Tensor): tf.Tensor {
  return x.rank === 2 ? tf.clone(x) : asMatrix(x);
}

export function reshapeRaw(x: tf.Tensor, shape: readonly number[]): tf.Tensor {
  const raw = rawOps();
  const wanted = tf.tensor1d([...shape], 'int32');
  const type = raw.type('T', x.dtype as 'float32');
  const reshaped = raw.one('Reshape', [type, raw.type('Tshape', 'int32')], x, wanted);
  wanted.dispose();
  return reshaped;
}

/** Tensors one behind the other. */
export function joinAlong(axis: number, parts: readonly tf.Tensor[]): tf.Tensor {
  const raw = rawOps();
  const along = tf.scalar(axis, 'int32');
  const attributes = [...raw.float, raw.ints('N', parts.length), raw.type('Tidx', 'int32')];
  const joined = raw.one('ConcatV2', attributes, ...parts, along);
  along.dispose();
  return joined;
}

/** Runs `use` on `x` as a matrix. */
function withMatrix(x: tf.Tensor, use: (matrix: tf.Tensor) => tf.Tensor): tf.Tensor {
  if (x.rank === 2) return use(x);
  const matrix = asMatrix(x);
  const result = use(matrix);
  matrix.dispose();
  return result;
}

/** Gives a matrix the leading axes of `like` back. */
function withLeadingAxes(matrix: tf.Tensor, like: tf.Tensor): tf.Tensor {
  if (like.rank === 2) return matrix;
  const shaped = reshapeRaw(matrix, [...like.shape.slice(0, -1), matrix.shape[1]!]);
  matrix.dispose();
  return shaped;
}

const kernelGradient: FactorComputation = {
  product: (x, dz) => matMul(x, dz, true),
  join: parts => joinAlong(0, parts),
};

const forward = joinedWhereLarge<Attributes>('dense', ([x, kernel, bias], { activation }) => {
  const product = withMatrix(x!, matrix => matMul(matrix, kernel!));
  return withLeadingAxes(activateInline(addBias(product, bias), activation), x!);
});

const run = register<Attributes>({
  name: 'MillraceDense',
  forward({ x, kernel, bias }, attributes) {
    const [inputs, units] = kernel!.shape as [number, number];
    return forward([x!, kernel!], bias, attributes, (x!.size / inputs) * units);
  },
  saves: { inputs: ['x', 'kernel'], output: true },
  gradient([dy], saved, { activation }) {
    const [x, kernel, y] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
    const beforeActivation = sharing(saved, () =>
      activation === 'linear' ? [] : [inlineGradient(dy!, y, activation)],
    );
    const dz = (): tf.Tensor => beforeActivation()[0] ?? dy!;
    return {
      x: () =>
        withLeadingAxes(
          withMatrix(dz(), matrix => matMul(matrix, kernel, false, true)),
          x,
        ),
      kernel: sampleProduct({
        factorSize: x.size + dy!.size,
        factors: () => [matrixOf(x), matrixOf(dz())],
        computation: kernelGradient,
      }),
      bias: () => withMatrix(dz(), biasGradient),
    };
  },
});

export function dense(
  x: tf.Tensor,
  kernel: tf.Tensor,
  bias: tf.Tensor | undefined,
  activation: FusedActivation,
): tf.Tensor {
  return run({ x, kernel, bias }, { activation });
}
