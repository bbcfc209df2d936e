import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import '#internal/backends/index.js';
import { describeOnBackends } from '../../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';

const shape = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  height: fc.integer({ min: 9, max: 12 }),
  width: fc.integer({ min: 9, max: 12 }),
  taps: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  dilations: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  inner: fc.integer({ min: 1, max: 3 }),
  outer: fc.integer({ min: 1, max: 3 }),
  pad: fc.constantFrom('same' as const, 'valid' as const),
  depthwise: fc.boolean(),
  seed: fc.integer({ min: 1, max: 1000 }),
});
type Case = typeof shape extends fc.Arbitrary<infer T> ? T : never;

/** The definition, tap by tap, from operations whose gradients tfjs has. */
function byDefinition(
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  { taps, dilations, pad, depthwise }: Case,
): tf.Tensor {
  const [batch, height, width, inner] = x.shape;
  const outer = filter.shape[3];
  const reach = taps.map((count, axis) => (count - 1) * dilations[axis]!) as [number, number];
  const [above, left] = pad === 'same' ? reach.map(size => Math.floor(size / 2)) : [0, 0];
  const [rows, columns] = pad === 'same' ? reach : [0, 0];
  const padded = tf.pad(x, [
    [0, 0],
    [above!, rows! - above!],
    [left!, columns! - left!],
    [0, 0],
  ]);
  const out = [height + rows! - reach[0], width + columns! - reach[1]] as const;
  let sum: tf.Tensor = tf.zeros([1]);
  for (let row = 0; row < taps[0]; row++) {
    for (let column = 0; column < taps[1]; column++) {
      const seen = padded.slice([0, row * dilations[0], column * dilations[1], 0], [batch, ...out, inner]);
      const tap = filter.slice([row, column, 0, 0], [1, 1, inner, outer]);
      const flat = seen.reshape([-1, inner]);
      const term = depthwise
        ? tf.mul(flat.expandDims(2), tap.reshape([1, inner, outer]))
        : tf.matMul(flat as tf.Tensor2D, tap.reshape([inner, outer]) as tf.Tensor2D);
      sum = tf.add(sum, term);
    }
  }
  return sum.reshape([batch, ...out, depthwise ? inner * outer : outer]);
}

describeOnBackends('the gradients of a dilated convolution', () => {
  it('are those of its definition', () => {
    fc.assert(
      fc.property(shape, example => {
        const { batch, height, width, taps, dilations, inner, outer, pad, depthwise, seed } = example;
        const x = uniform([batch, height, width, inner], seed) as tf.Tensor4D;
        const filter = uniform([...taps, inner, outer], seed + 1) as tf.Tensor4D;
        const before = tensorCount();
        const convolve = depthwise ? tf.depthwiseConv2d : tf.conv2d;
        const run = (f: (x: tf.Tensor4D, filter: tf.Tensor4D) => tf.Tensor): tf.Tensor[] =>
          tf.tidy(() => {
            const weighted = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => {
              const y = f(a as tf.Tensor4D, b as tf.Tensor4D);
              return tf.sum(tf.mul(y, uniform(y.shape, seed + 2)));
            };
            return tf.grads(weighted)([x, filter]);
          });
        const actual = run((a, b) => convolve(a, b, 1, pad, 'NHWC', dilations));
        const expected = run((a, b) => byDefinition(a, b, example));
        expectTensorsClose(actual, expected, 'gradient');
        tf.dispose([actual, expected]);
        expect(tensorCount()).toBe(before);
        tf.dispose([x, filter]);
      }),
      { numRuns: 40 },
    );
  });

  const layers = [
    ['conv1d', [9, 3], () => tf.layers.conv1d({ filters: 2, kernelSize: 3, dilationRate: 2 })],
    [
      'conv2d',
      [8, 8, 3],
      () => tf.layers.conv2d({ filters: 2, kernelSize: 3, dilationRate: 2, activation: 'relu' }),
    ],
    [
      'separableConv2d',
      [8, 8, 3],
      () => tf.layers.separableConv2d({ filters: 2, kernelSize: 3, dilationRate: 2 }),
    ],
  ] as const;
  it.each(layers)('let a plain %s layer train', async (_, inputShape, layer) => {
    const input = tf.input({ shape: [...inputShape] });
    const model = tf.model({ inputs: input, outputs: layer().apply(input) as tf.SymbolicTensor });
    model.compile({ optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError' });
    const x = uniform([4, ...inputShape], 1);
    const y = uniform([4, ...(model.outputs[0]!.shape.slice(1) as number[])], 2, 1, 2);
    const { history } = await model.fit(x, y, { epochs: 4, shuffle: false, verbose: 0 });
    const losses = history['loss'] as number[];
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    tf.dispose([x, y]);
    model.dispose();
  });
});
