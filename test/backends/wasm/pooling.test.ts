import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { expectSame, values } from './both-backends.js';

const size = fc.integer({ min: 4, max: 7 });
const stride = fc.integer({ min: 1, max: 3 });
const filter = fc.integer({ min: 1, max: 4 });
const pad = fc.constantFrom<'same' | 'valid'>('same', 'valid');
/** Moves the numbers below, around or above zero: the backend's own kernels know no negative maximum. */
const shift = fc.constantFrom(-2, 0, 2);

const pooling2d = fc.record({
  shape: fc.tuple(fc.integer({ min: 1, max: 3 }), size, size, fc.integer({ min: 1, max: 5 })),
  filterSize: fc.tuple(filter, filter),
  strides: fc.tuple(stride, stride),
  pad,
  shift,
});

const pooling3d = fc.record({
  shape: fc.tuple(fc.integer({ min: 1, max: 2 }), size, size, size, fc.integer({ min: 1, max: 3 })),
  // Square in height and width: cpu's gradient mixes the two up.
  filterSize: fc.tuple(filter, filter).map(([depth, side]): [number, number, number] => [depth, side, side]),
  strides: fc.tuple(stride, stride, stride),
  pad,
  shift,
});

/** A pooling and its gradient. */
function withGradient(x: tf.Tensor, pool: (x: tf.Tensor) => tf.Tensor): tf.Tensor[] {
  const y = pool(x);
  return [y, tf.grad(pool)(x, values(y.shape, 2))];
}

describe('pooling on wasm', () => {
  it('maxPool: result and gradient equal those of cpu, whatever the sign', async () => {
    await fc.assert(
      fc.asyncProperty(pooling2d, async ({ shape, filterSize, strides, pad, shift }) => {
        await expectSame(() =>
          withGradient(values(shape).add(shift), x => tf.maxPool(x as tf.Tensor4D, filterSize, strides, pad)),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('avgPool: result and gradient equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(pooling2d, async ({ shape, filterSize, strides, pad }) => {
        await expectSame(() =>
          withGradient(values(shape), x => tf.avgPool(x as tf.Tensor4D, filterSize, strides, pad)),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('maxPool3d: result and gradient equal those of cpu, whatever the sign', async () => {
    await fc.assert(
      fc.asyncProperty(pooling3d, async ({ shape, filterSize, strides, pad, shift }) => {
        await expectSame(() =>
          withGradient(values(shape).add(shift), x =>
            tf.maxPool3d(x as tf.Tensor5D, filterSize, strides, pad),
          ),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('avgPool3d: result and gradient equal those of cpu', async () => {
    await fc.assert(
      fc.asyncProperty(pooling3d, async ({ shape, filterSize, strides, pad }) => {
        await expectSame(() =>
          withGradient(values(shape), x => tf.avgPool3d(x as tf.Tensor5D, filterSize, strides, pad)),
        );
      }),
      { numRuns: 40 },
    );
  });
});
