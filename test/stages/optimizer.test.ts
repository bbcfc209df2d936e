/**
 * Optimizers that divide by a running size of the gradient turn rounding into full steps, so whole training runs say little
 * about them. Here both sides get the same gradients: the optimizers of the stages must do what one over all weights does.
 */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StageOptimizer } from '#internal/stages/optimizer.js';
import { disposeOptimizer } from '#internal/tfjs/internals.js';
import { OPTIMIZERS, type OptimizerName } from '../equality/support.js';
import { describeOnBackends } from '../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../helpers/compare.js';
import { uniform } from '../helpers/data.js';

const KINDS: Readonly<Record<string, () => tf.Optimizer>> = {
  ...OPTIMIZERS,
  adamax: () => tf.train.adamax(0.01),
  'rmsprop with momentum': () => tf.train.rmsprop(0.01, 0.9, 0.5),
};

interface Task {
  /** Rows of each weight, with the stage that holds it. */
  readonly weights: readonly { readonly rows: number; readonly stage: number }[];
  /** For each step the learning rate, the power of ten of the gradients, and a weight that gets none. */
  readonly steps: readonly { readonly rate: number; readonly power: number; readonly without: number }[];
  readonly seed: number;
}

const tasks: fc.Arbitrary<Task> = fc.record({
  weights: fc.array(fc.record({ rows: fc.integer({ min: 1, max: 6 }), stage: fc.nat(2) }), {
    minLength: 1,
    maxLength: 6,
  }),
  steps: fc.array(
    fc.record({
      rate: fc.constantFrom(0.01, 0.05),
      power: fc.integer({ min: -8, max: 1 }),
      without: fc.nat(12),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  seed: fc.integer({ min: 1, max: 1000 }),
});

function makeWeights({ weights, seed }: Task): tf.Variable[] {
  return weights.map(({ rows }, index) => tf.tidy(() => tf.variable(uniform([rows, 3], seed + index))));
}

describeOnBackends('the optimizers of the stages', () => {
  describe.each(Object.keys(KINDS) as OptimizerName[])('%s', name => {
    it('do what one over all weights does with the same gradients, and leave nothing behind', () => {
      fc.assert(
        fc.property(tasks, task => {
          const before = tensorCount();
          const expected = makeWeights(task);
          const actual = makeWeights(task);
          const plain = KINDS[name]!();
          const spec = { className: plain.getClassName(), config: plain.getConfig() as never };
          const stages = [0, 1, 2].map(stage => {
            const held = actual.flatMap((_, index) => (task.weights[index]!.stage === stage ? [index] : []));
            return {
              held,
              optimizer: new StageOptimizer(
                spec,
                held.map(index => actual[index]!),
              ),
            };
          });
          for (const [step, { rate, power, without }] of task.steps.entries()) {
            const gradients = expected.map((weight, index) =>
              // The first step gives every weight a gradient, as training does.
              index === without && step > 0
                ? undefined
                : tf.tidy(() => tf.mul(uniform(weight.shape, task.seed + 100 * step + index), 10 ** power)),
            );
            setRate(plain, rate);
            plain.applyGradients(
              expected.map((weight, index) => ({ name: weight.name, tensor: gradients[index]! })),
            );
            for (const { held, optimizer } of stages) {
              optimizer.apply(
                held.map(index => gradients[index]),
                rate,
              );
            }
            tf.dispose(gradients.filter(gradient => gradient !== undefined));
          }
          expectTensorsClose(actual, expected, 'weight');
          disposeOptimizer(plain);
          for (const { optimizer } of stages) optimizer.dispose();
          tf.dispose([expected, actual]);
          expect(tensorCount()).toBe(before);
        }),
        { numRuns: 30 },
      );
    });
  });
});

function setRate(optimizer: tf.Optimizer, rate: number): void {
  const parts = optimizer as unknown as { learningRate: number; setLearningRate?(rate: number): void };
  if (parts.setLearningRate === undefined) parts.learningRate = rate;
  else parts.setLearningRate(rate);
}
