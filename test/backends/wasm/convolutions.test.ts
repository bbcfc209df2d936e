import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  expectClose,
  expectSame,
  expectSameSums,
  RELATIVE_ERROR,
  resultsOn,
  values,
} from './both-backends.js';

type Padding =
  | 'same'
  | 'valid'
  | number
  | [[number, number], [number, number], [number, number], [number, number]];

const padding: fc.Arbitrary<Padding> = fc.oneof(
  fc.constantFrom<Padding>('same', 'valid', 0, 1),
  fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 3 }))).map(
    ([top, bottom, left, right]): Padding => [
      [0, 0],
      [top as number, bottom as number],
      [left as number, right as number],
      [0, 0],
    ],
  ),
);

const stride = fc.integer({ min: 1, max: 4 });
/** Channel counts around the vector widths 4 and 16, batches around the shortest run that is copied at once. */
const channels = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constantFrom(16, 19));
const convolution = fc.record({
  batch: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constantFrom(17)),
  height: fc.integer({ min: 4, max: 9 }),
  width: fc.integer({ min: 4, max: 9 }),
  inChannels: channels,
  outChannels: channels,
  filterHeight: fc.integer({ min: 1, max: 4 }),
  filterWidth: fc.integer({ min: 1, max: 4 }),
  strides: fc.tuple(stride, stride),
  pad: padding,
});

type Convolution = typeof convolution extends fc.Arbitrary<infer T> ? T : never;

/**
 * Padding narrower than the filter, else an output would see nothing but zeros. And a number as padding only for square
 * filters and strides: tfjs computes the output's width from the filter's height, and its wasm convolution then
 * writes past the end of the output.
 */
function isUsual({ pad, filterHeight, filterWidth, strides }: Convolution): boolean {
  if (typeof pad === 'number')
    return filterHeight === filterWidth && filterHeight > pad && strides[0] === strides[1];
  if (typeof pad === 'string') return true;
  return Math.max(...pad[1]) < filterHeight && Math.max(...pad[2]) < filterWidth;
}

describe('forward convolutions on wasm', () => {
  // Strides above the filter's size included, which the backend alone leaves undefined for `same`.
  it('plain, depthwise and fused ones equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(convolution, async shape => {
        fc.pre(isUsual(shape));
        await expectSame(() => {
          const { strides, filterHeight, filterWidth, inChannels, outChannels } = shape;
          const pad = shape.pad as 'same';
          const x = values([shape.batch, shape.height, shape.width, inChannels], 1) as tf.Tensor4D;
          const filter = values([filterHeight, filterWidth, inChannels, outChannels], 2) as tf.Tensor4D;
          const depthwise = values([filterHeight, filterWidth, inChannels, 2], 3) as tf.Tensor4D;
          const bias = values([outChannels], 4);
          const depthwiseBias = values([inChannels * 2], 5);
          return [
            tf.conv2d(x, filter, strides, pad),
            tf.depthwiseConv2d(x, depthwise, strides, pad),
            tf.fused.conv2d({ x, filter, strides, pad, bias, activation: 'relu' }),
            tf.fused.depthwiseConv2d({
              x,
              filter: depthwise,
              strides,
              pad,
              bias: depthwiseBias,
              activation: 'relu6',
            }),
          ];
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe('convolution gradients on wasm', () => {
  it('conv2d: input and filter gradients equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(convolution, async shape => {
        fc.pre(isUsual(shape));
        await expectSameSums(numbers => {
          const x = numbers([shape.batch, shape.height, shape.width, shape.inChannels], 1) as tf.Tensor4D;
          const filter = numbers(
            [shape.filterHeight, shape.filterWidth, shape.inChannels, shape.outChannels],
            2,
          ) as tf.Tensor4D;
          const convolve = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
            tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, shape.strides, shape.pad as 'same');
          return tf.grads(convolve)([x, filter], numbers(convolve(x, filter).shape, 3));
        });
      }),
      { numRuns: 150 },
    );
  });

  it('conv2dTranspose: result and gradients equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(convolution, async shape => {
        fc.pre(shape.pad === 'same' || shape.pad === 'valid');
        await expectSame(() => {
          const { batch, height, width, inChannels, outChannels, strides } = shape;
          const pad = shape.pad as 'same' | 'valid';
          const info = tf.backend_util.computeConv2DInfo(
            [batch, height, width, inChannels],
            [shape.filterHeight, shape.filterWidth, inChannels, outChannels],
            strides,
            1,
            pad,
          );
          const dy = values(info.outShape, 1) as tf.Tensor4D;
          const filter = values(info.filterShape, 2) as tf.Tensor4D;
          const convolve = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
            tf.conv2dTranspose(a as tf.Tensor4D, b as tf.Tensor4D, info.inShape, strides, pad);
          return [convolve(dy, filter), ...tf.grads(convolve)([dy, filter], values(info.inShape, 3))];
        });
      }),
      { numRuns: 80 },
    );
  });

  it('splits a filter gradient that exceeds the im2col buffer', async () => {
    await expectSame(() => {
      const x = values([17, 9, 11, 40], 1) as tf.Tensor4D;
      const filter = values([3, 3, 40, 3], 2) as tf.Tensor4D;
      const convolve = (weights: tf.Tensor): tf.Tensor => tf.conv2d(x, weights as tf.Tensor4D, 1, 'same');
      return [tf.grad(convolve)(filter, values([17, 9, 11, 3], 3))];
    });
  });

  it('takes channels-first data in both kernels', async () => {
    await fc.assert(
      fc.asyncProperty(convolution, async shape => {
        fc.pre(shape.pad === 'same' || shape.pad === 'valid');
        const { batch, height, width, inChannels, outChannels, strides } = shape;
        const info = tf.backend_util.computeConv2DInfo(
          [batch, inChannels, height, width],
          [shape.filterHeight, shape.filterWidth, inChannels, outChannels],
          strides,
          1,
          shape.pad as 'same',
          undefined,
          false,
          'channelsFirst',
        );
        await expectSame(() => {
          const x = values(info.inShape, 1);
          const filter = values(info.filterShape, 2);
          const dy = values(info.outShape, 3);
          const attrs = { strides, pad: shape.pad as 'same', dataFormat: 'NCHW' };
          return [
            tf
              .engine()
              .runKernel('Conv2DBackpropFilter', { x, dy }, { ...attrs, filterShape: info.filterShape }),
            tf
              .engine()
              .runKernel('Conv2DBackpropInput', { dy, filter }, { ...attrs, inputShape: info.inShape }),
          ] as tf.Tensor[];
        });
      }),
      { numRuns: 30 },
    );
  });
});

describe('depthwise convolution gradients on wasm', () => {
  const multiplier = fc.integer({ min: 1, max: 3 });

  it('equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(convolution, multiplier, async (shape, outPerIn) => {
        fc.pre(isUsual(shape));
        await expectSameSums(numbers => {
          const x = numbers([shape.batch, shape.height, shape.width, shape.inChannels], 1) as tf.Tensor4D;
          const filter = numbers(
            [shape.filterHeight, shape.filterWidth, shape.inChannels, outPerIn],
            2,
          ) as tf.Tensor4D;
          const convolve = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
            tf.depthwiseConv2d(a as tf.Tensor4D, b as tf.Tensor4D, shape.strides, shape.pad as 'same');
          return tf.grads(convolve)([x, filter], numbers(convolve(x, filter).shape, 3));
        });
      }),
      { numRuns: 150 },
    );
  });

  // The cpu kernels ignore dilations, so the oracle is cpu with zeros put between the taps.
  it('of dilated filters equal those of the same filter with its gaps written out', async () => {
    const dilation = fc.integer({ min: 2, max: 3 });
    await fc.assert(
      fc.asyncProperty(convolution, multiplier, dilation, async (shape, outPerIn, rate) => {
        fc.pre(shape.pad === 'same' || shape.pad === 'valid');
        fc.pre(
          (shape.filterHeight - 1) * rate < shape.height && (shape.filterWidth - 1) * rate < shape.width,
        );
        const inputShape = [shape.batch, shape.height, shape.width, shape.inChannels] as [
          number,
          number,
          number,
          number,
        ];
        const filterShape = [
          shape.filterHeight,
          shape.filterWidth,
          shape.inChannels,
          outPerIn,
        ] as typeof inputShape;
        const info = tf.backend_util.computeConv2DInfo(
          inputShape,
          filterShape,
          1,
          rate,
          shape.pad as 'same',
          undefined,
          true,
        );
        const wideShape = [info.effectiveFilterHeight, info.effectiveFilterWidth, shape.inChannels, outPerIn];

        const gradients = (dilations: number, isWide: boolean) => (): tf.Tensor[] => {
          const attrs = { strides: [1, 1], pad: shape.pad as 'same', dilations: [dilations, dilations] };
          const filter = values(filterShape, 2);
          const dy = values(info.outShape, 3);
          const used = isWide ? spread(filter, rate) : filter;
          const run = (name: string, inputs: Record<string, tf.Tensor>, more: object): tf.Tensor =>
            tf.engine().runKernel(name, inputs, { ...attrs, ...more }) as tf.Tensor;
          const dx = run('DepthwiseConv2dNativeBackpropInput', { dy, filter: used }, { inputShape });
          const x = values(inputShape, 1);
          const dw = run(
            'DepthwiseConv2dNativeBackpropFilter',
            { x, dy },
            { filterShape: isWide ? wideShape : filterShape },
          );
          return [dx, isWide ? tf.stridedSlice(dw, [0, 0, 0, 0], dw.shape, [rate, rate, 1, 1]) : dw];
        };
        const expected = await resultsOn('cpu', gradients(1, true));
        const actual = await resultsOn('wasm', gradients(rate, false));
        for (const [index, { values: numbers }] of expected.entries()) {
          expectClose(actual[index]?.values ?? [], numbers, RELATIVE_ERROR);
        }
      }),
      { numRuns: 60 },
    );
  });
});

/** Puts `rate - 1` zeros between the taps of a filter. */
function spread(filter: tf.Tensor, rate: number): tf.Tensor {
  const [height, width, ...rest] = filter.shape as [number, number, number, number];
  const padded = filter
    .reshape([height, 1, width, 1, ...rest])
    .pad([
      [0, 0],
      [0, rate - 1],
      [0, 0],
      [0, rate - 1],
      [0, 0],
      [0, 0],
    ])
    .reshape([height * rate, width * rate, ...rest]);
  return padded.slice([0, 0], [(height - 1) * rate + 1, (width - 1) * rate + 1]);
}
