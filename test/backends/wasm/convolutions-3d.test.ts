import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { expectSame, values } from './both-backends.js';

const size = fc.integer({ min: 3, max: 6 });
const small = fc.integer({ min: 1, max: 3 });
const convolution = fc.record({
  batch: small,
  volume: fc.tuple(size, size, size),
  inChannels: small,
  outChannels: small,
  filter: fc.tuple(small, small, small),
  strides: fc.tuple(small, small, small),
  pad: fc.constantFrom<'same' | 'valid'>('same', 'valid'),
});

describe('three-dimensional convolutions on wasm', () => {
  it('conv3d: result and gradients equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(
        convolution,
        async ({ batch, volume, inChannels, outChannels, filter, strides, pad }) => {
          await expectSame(() => {
            const x = values([batch, ...volume, inChannels], 1);
            const weights = values([...filter, inChannels, outChannels], 2);
            const convolve = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
              tf.conv3d(a as tf.Tensor5D, b as tf.Tensor5D, strides, pad);
            const y = convolve(x, weights);
            return [y, ...tf.grads(convolve)([x, weights], values(y.shape, 3))];
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('conv3d: dilated results equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(
        convolution,
        small,
        async ({ batch, volume, inChannels, outChannels, filter, pad }, rate) => {
          fc.pre(filter.every((taps, axis) => (taps - 1) * rate < (volume[axis] as number)));
          await expectSame(() => [
            tf.conv3d(
              values([batch, ...volume, inChannels], 1) as tf.Tensor5D,
              values([...filter, inChannels, outChannels], 2) as tf.Tensor5D,
              1,
              pad,
              'NDHWC',
              rate,
            ),
          ]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('conv3dTranspose: results equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(
        convolution,
        async ({ batch, volume, inChannels, outChannels, filter, strides, pad }) => {
          const inShape = [batch, ...volume, inChannels] as [number, number, number, number, number];
          const filterShape = [...filter, inChannels, outChannels] as typeof inShape;
          const info = tf.backend_util.computeConv3DInfo(inShape, filterShape, strides, 1, pad);
          await expectSame(() => [
            tf.conv3dTranspose(
              values(info.outShape, 1) as tf.Tensor5D,
              values(filterShape, 2) as tf.Tensor5D,
              inShape,
              strides,
              pad,
            ),
          ]);
        },
      ),
      { numRuns: 40 },
    );
  });
});
