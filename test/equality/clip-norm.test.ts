/** Clipping by the norm over all weights. tfjs has none, so the oracle is a loop over `variableGrads`. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { seedWeights, uniform } from '../helpers/data.js';
import { withTrainer } from '../helpers/trainer.js';

const WIDTH = 5;

/** A layer that is called twice, for tied weights, and a penalty: both must be in the norm once. */
function build(): tf.LayersModel {
  const shared = tf.layers.dense({ name: 'shared', units: WIDTH, activation: 'tanh' });
  const penalised = tf.layers.dense({
    units: WIDTH,
    activation: 'sigmoid',
    kernelRegularizer: tf.regularizers.l2({ l2: 0.1 }),
  });
  const input = tf.input({ shape: [WIDTH] });
  let value = shared.apply(input);
  for (const layer of [penalised, shared, tf.layers.dense({ units: 2 })]) value = layer.apply(value);
  const model = tf.model({ inputs: input, outputs: value as tf.SymbolicTensor });
  seedWeights(model, 5);
  return model;
}

/** Returns the norm of the first step's gradient, before clipping. */
function trainByHand(model: tf.LayersModel, x: tf.Tensor, y: tf.Tensor, steps: number, clip: number): number {
  const optimizer = tf.train.momentum(0.2, 0.9);
  const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable);
  const norms = Array.from({ length: steps }, () =>
    tf.tidy(() => {
      const { grads } = tf.variableGrads(() => {
        const loss = tf.losses.meanSquaredError(y, model.apply(x, { training: true }) as tf.Tensor);
        const penalties = (model as unknown as { calculateLosses(): tf.Scalar[] }).calculateLosses();
        return tf.addN([loss, ...penalties]) as tf.Scalar;
      }, variables);
      const squares = Object.values(grads).map(gradient => tf.sum(tf.square(gradient)).dataSync()[0]!);
      const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
      const factor = norm > clip ? clip / norm : 1;
      optimizer.applyGradients(
        Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, tf.mul(grad, factor)])),
      );
      return norm;
    }),
  );
  optimizer.dispose();
  return norms[0]!;
}

describeOnBackends('clipNorm scales all gradients by one factor', backend => {
  it('for any plan, and leaves smaller gradients alone', async () => {
    const x = uniform([12, WIDTH], 1);
    const y = uniform([12, 2], 2);
    const unclipped = build();
    const norm = trainByHand(unclipped, x, y, 1, Number.POSITIVE_INFINITY);
    unclipped.dispose();
    const plans = fc.record({
      stages: fc.integer({ min: 1, max: 4 }),
      workers: fc.integer({ min: 1, max: 3 }),
      microBatches: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(plans, fc.constantFrom(0.1, 0.7, 2), async (plan, share) => {
        const clipNorm = norm * share;
        const expected = build();
        trainByHand(expected, x, y, 3, clipNorm);
        const piped = build();
        piped.compile({ optimizer: tf.train.momentum(0.2, 0.9), loss: 'meanSquaredError' });
        const options = { backend, partition: 'uniform', clipNorm, ...plan } as const;
        await withTrainer(piped, options, trainer =>
          trainer.fit(x, y, { epochs: 3, batchSize: 12, shuffle: false }).then(() => undefined),
        );
        expectTensorsClose(piped.getWeights(), expected.getWeights(), 'weight');
        if (share < 1) expect(norm).toBeGreaterThan(clipNorm);
        expected.dispose();
        piped.dispose();
      }),
      { numRuns: 4, endOnFailure: true },
    );
    tf.dispose([x, y]);
  });
});
