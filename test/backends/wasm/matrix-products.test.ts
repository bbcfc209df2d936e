import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectSame, use, values } from './both-backends.js';

/** Sizes on both sides of every cut-off: of vector width, of the 48-wide blocks, of the limit for the scalar loop. */
const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 70 }));
const flag = fc.boolean();

const problem = fc.record({
  m: size,
  k: size,
  n: size,
  transposeA: flag,
  transposeB: flag,
  batch: fc.constantFrom<[number[], number[]]>(
    [[], []],
    [[1], [1]],
    [[3], [3]],
    [[3], [1]],
    [[1], [3]],
    [[], [2]],
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], []],
  ),
});

function operands({
  m,
  k,
  n,
  transposeA,
  transposeB,
  batch,
}: typeof problem extends fc.Arbitrary<infer T> ? T : never) {
  const a = values([...batch[0], ...(transposeA ? [k, m] : [m, k])], 1);
  const b = values([...batch[1], ...(transposeB ? [n, k] : [k, n])], 2);
  return { a, b };
}

describe('BatchMatMul on wasm', () => {
  it('multiplies as cpu does, whatever is transposed, with and without batches', async () => {
    await fc.assert(
      fc.asyncProperty(problem, async shape => {
        await expectSame(() => {
          const { a, b } = operands(shape);
          return [tf.matMul(a, b, shape.transposeA, shape.transposeB)];
        });
      }),
      { numRuns: 150 },
    );
  });

  it('multiplies matrices that are larger than a block in every direction', async () => {
    const large = fc.record({
      m: fc.integer({ min: 250, max: 270 }),
      k: fc.integer({ min: 505, max: 530 }),
      n: fc.integer({ min: 5, max: 20 }),
      transposeA: flag,
      transposeB: flag,
      batch: fc.constant<[number[], number[]]>([[], []]),
    });
    await fc.assert(
      fc.asyncProperty(large, async shape => {
        await expectSame(() => {
          const { a, b } = operands(shape);
          return [tf.matMul(a, b, shape.transposeA, shape.transposeB)];
        });
      }),
      { numRuns: 20 },
    );
  });

  it('takes every element from its place and no other', async () => {
    await use('wasm');
    // Numbers that float32 sums exactly.
    const whole = (shape: [number, number], seed: number): tf.Tensor2D =>
      tf.tidy(() => tf.round(tf.mul(values(shape, seed), 8)) as tf.Tensor2D);
    for (const [m, k, n] of [
      [257, 513, 9],
      [5, 1025, 17],
      [256, 512, 8],
    ] as const) {
      const [a, b] = [whole([m, k], 1), whole([k, n], 2)];
      const product = tf.matMul(a, b).dataSync();
      const [left, right] = [a.dataSync(), b.dataSync()];
      for (let row = 0; row < m; row++) {
        for (let column = 0; column < n; column++) {
          let expected = 0;
          for (let inner = 0; inner < k; inner++)
            expected += left[row * k + inner]! * right[inner * n + column]!;
          if (product[row * n + column] !== expected) expect([row, column]).toBeUndefined();
        }
      }
      tf.dispose([a, b]);
    }
  });

  it('has the gradients of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(problem, async shape => {
        fc.pre(shape.batch[0].join() === shape.batch[1].join());
        await expectSame(() => {
          const { a, b } = operands(shape);
          const multiply = (left: tf.Tensor, right: tf.Tensor): tf.Tensor =>
            tf.matMul(left, right, shape.transposeA, shape.transposeB);
          return tf.grads(multiply)([a, b], values(multiply(a, b).shape, 3));
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe('_FusedMatMul on wasm', () => {
  const activations = ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'prelu', 'leakyrelu'] as const;

  it('adds the bias once and applies every activation as cpu does', async () => {
    await fc.assert(
      fc.asyncProperty(problem, fc.constantFrom(...activations), flag, async (shape, activation, hasBias) => {
        await expectSame(() => {
          const { a, b } = operands(shape);
          return [
            tf.fused.matMul({
              a,
              b,
              transposeA: shape.transposeA,
              transposeB: shape.transposeB,
              ...(hasBias ? { bias: values([shape.n], 3) } : {}),
              activation,
              ...(activation === 'prelu' ? { preluActivationWeights: values([shape.n], 4) } : {}),
              leakyreluAlpha: 0.3,
            }),
          ];
        });
      }),
      { numRuns: 150 },
    );
  });
});

describe('Transpose on wasm', () => {
  it('permutes axes as cpu does, for every element type', async () => {
    const permuted = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }).chain(shape =>
      fc.record({
        shape: fc.constant(shape),
        permutation: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
        dtype: fc.constantFrom<'float32' | 'int32' | 'bool'>('float32', 'int32', 'bool'),
      }),
    );
    await fc.assert(
      fc.asyncProperty(permuted, async ({ shape, permutation, dtype }) => {
        await expectSame(() => {
          const x = values(shape).mul(100);
          return [(dtype === 'bool' ? x.greater(0) : x.cast(dtype)).transpose(permutation)];
        }, 0);
      }),
      { numRuns: 200 },
    );
  });

  it('handles matrices larger than a band in either direction', async () => {
    const side = fc.integer({ min: 1, max: 200 });
    await fc.assert(
      fc.asyncProperty(side, side, async (rows, columns) => {
        await expectSame(() => [values([rows, columns]).transpose()], 0);
      }),
      { numRuns: 30 },
    );
  });
});
