/** The gradient of nearest-neighbour resizing: of every sample as if it were alone, and where the forward pass took it from. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { it } from 'vitest';
import { describeOnBackends, useBackend } from '../../helpers/backends.js';
import { expectTensorsClose } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';
import '#internal/backends/index.js';

const size = fc.integer({ min: 1, max: 4 });

describeOnBackends('the gradient of resizing to the nearest neighbour', name => {
  it('adds each element of the output where it was taken from, in every sample', async () => {
    await useBackend(name);
    fc.assert(
      fc.property(
        fc.tuple(size, size, size, size),
        fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 })),
        fc.boolean(),
        (shape, resized, alignCorners) => {
          // Corners of a single pixel are aligned by a scale of 0, which tfjs's wasm backend divides by.
          fc.pre(!alignCorners || (shape[1] > 1 && shape[2] > 1));
          tf.tidy(() => {
            const x = uniform(shape, 1) as tf.Tensor4D;
            const weights = uniform([shape[0], ...resized, shape[3]], 2);
            const resize = (images: tf.Tensor4D): tf.Tensor =>
              tf.image.resizeNearestNeighbor(images, resized, alignCorners);
            const found = tf.grad((images: tf.Tensor) =>
              tf.sum(tf.mul(resize(images as tf.Tensor4D), weights)),
            )(x);
            // The output is linear in the image: one element at a time says what each counts.
            const count = x.size;
            const units = tf.reshape(tf.eye(count), [count, ...shape]);
            const expected = tf
              .unstack(units)
              .map(unit => tf.sum(tf.mul(resize(unit as tf.Tensor4D), weights)));
            expectTensorsClose([found], [tf.reshape(tf.stack(expected), shape)], 'gradient');
          });
        },
      ),
      { numRuns: 25 },
    );
  });
});
