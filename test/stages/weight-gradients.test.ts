import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, loadBackend, PLAIN_FACTORS, type SampleProduct } from '#internal/backends/index.js';
import type { StageSpec, WeightShare } from '#internal/protocol/stage-spec.js';
import type { StageLayers } from '#internal/stages/layers.js';
import { WeightGradients } from '#internal/stages/weight-gradients.js';
import { describeOnBackends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { uniform } from '../helpers/data.js';

const SHAPE = [300, 2];

describeOnBackends('weight gradients', name => {
  let backend: Backend;
  let gradients: WeightGradients;
  const variables: tf.Variable[] = [];
  beforeAll(async () => {
    await useBackend(name);
    backend = await loadBackend(name);
    variables.push(tf.variable(tf.zeros(SHAPE)), tf.variable(tf.zeros(SHAPE)));
    const trainable = variables.map((_, weight) => ({
      layer: 0,
      weight,
      order: weight,
      positions: [weight],
      shares: [{ replica: 0, rows: undefined }],
      frozen: false,
    }));
    const spec = {
      stage: 0,
      replica: 0,
      replicaStages: [0],
      trainable,
      copies: [],
      lent: [],
    } as unknown as StageSpec;
    const layers = {
      variable: ({ weight }: { weight: number }) => variables[weight]!,
    } as unknown as StageLayers;
    gradients = new WeightGradients(spec, layers, backend);
  });
  afterAll(() => {
    tf.dispose(variables);
  });

  describe('that are summed over micro-batches', () => {
    it('stay apart where two of them are one tensor, and leave nothing behind', () => {
      const { numTensors } = tf.memory();
      const shared = tf.fill(SHAPE, 1);
      // Both weights get the same memory first, as those of `a + b` do; then each gets its own.
      for (const index of [0, 1]) gradients.add(index, tf.clone(shared), 0);
      for (const value of [10, 100, 1000]) gradients.add(0, tf.fill(SHAPE, value), 0);
      for (const value of [2, 3]) gradients.add(1, tf.fill(SHAPE, value), 0);
      const [first, second] = [...gradients.ofEntries()].map(sum => [...new Set(sum!.dataSync())]);
      expect(first).toEqual([1111]);
      expect(second).toEqual([6]);
      expect([...new Set(shared.dataSync())]).toEqual([1]);
      gradients.clear();
      shared.dispose();
      expect(tf.memory().numTensors).toBe(numTensors);
    });
  });

  describe('that replicas share', () => {
    const [INPUTS, UNITS] = [6, 5] as const;

    /** As a kernel of a dense layer tells it. */
    function product(x: tf.Tensor, dz: tf.Tensor): SampleProduct {
      return {
        factorSize: x.size + dz.size,
        factors: () => [tf.clone(x), tf.clone(dz)],
        computation: PLAIN_FACTORS,
      };
    }

    /** Two replicas of a stage with two weights. */
    function replicas(
      sharesOf: (weight: number) => readonly WeightShare[],
      positionsOf: (weight: number) => readonly number[] = weight => [weight],
    ): {
      gradients: WeightGradients[];
      variables: tf.Variable[];
    } {
      const variables = [0, 1].map(() => tf.tidy(() => tf.variable(tf.zeros([INPUTS, UNITS]))));
      const layers = {
        variable: ({ weight }: { weight: number }) => variables[weight]!,
      } as unknown as StageLayers;
      const trainable = [0, 1].map(weight => ({
        layer: 0,
        weight,
        order: weight,
        positions: positionsOf(weight),
        shares: sharesOf(weight),
        frozen: false,
      }));
      const gradients = [0, 1].map(replica => {
        const spec = { stage: replica, replica, replicaStages: [0, 1], trainable, copies: [], lent: [] };
        return new WeightGradients(spec as unknown as StageSpec, layers, backend);
      });
      return { gradients, variables };
    }

    /** Each replica steps one. */
    const whole = (weight: number): readonly WeightShare[] => [{ replica: weight, rows: undefined }];

    const ROWS = [
      { begin: 0, end: 2 },
      { begin: 2, end: INPUTS },
    ] as const;

    /** Each replica steps some rows of both. */
    const divided = (): readonly WeightShare[] => ROWS.map((rows, replica) => ({ replica, rows }));

    it.each([
      // Factors are smaller where n samples · 11 < 30; of the smaller part of a divided weight, where n · 7 < 10.
      { how: 'whole', sharesOf: whole, isDivided: false, mostRows: 2 },
      { how: 'divided', sharesOf: divided, isDivided: true, mostRows: 1 },
    ])(
      'of $how weights are the products over the samples of both, crossing as gradients or as factors',
      ({ sharesOf, isDivided, mostRows }) => {
        fc.assert(
          fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), (...rows) => {
            const { numTensors } = tf.memory();
            const { gradients, variables } = replicas(sharesOf);
            // By weight, then by replica.
            const samples = variables.map((_, weight) =>
              rows.map((count, replica) => ({
                x: uniform([count, INPUTS], 10 * weight + replica),
                dz: uniform([count, UNITS], 10 * weight + replica + 5),
              })),
            );
            for (const [replica, own] of gradients.entries()) {
              for (const [weight, ofReplicas] of samples.entries()) {
                const { x, dz } = ofReplicas[replica]!;
                const part = product(x, dz);
                const isWanted = own.areFactorsWanted(weight, [part]);
                expect(isWanted).toBe(rows[replica]! <= mostRows);
                if (isWanted) own.addFactors(weight, [part], Number.POSITIVE_INFINITY);
                else
                  own.add(
                    weight,
                    tf.tidy(() => part.computation.product(x, dz)),
                    0,
                  );
              }
            }
            const [first, second] = gradients as [WeightGradients, WeightGradients];
            for (const own of gradients) own.divide();
            // As they cross: copies, that live until the step.
            const sent = gradients.map((own, replica) =>
              tf.tidy(() =>
                own
                  .ofReplica(1 - replica)
                  .map(tensor => (tensor === undefined ? undefined : tf.keep(tf.clone(tensor)))),
              ),
            );
            expect(second.addFromReplica(sent[0]!)).toBe(rows[0]! <= mostRows);
            expect(first.addFromReplica(sent[1]!)).toBe(rows[1]! <= mostRows);
            for (const [replica, own] of gradients.entries()) {
              own.computeFactors();
              const expected = tf.tidy(() =>
                samples.map(ofReplicas => {
                  const [x, dz] = (['x', 'dz'] as const).map(name =>
                    tf.concat(ofReplicas.map(part => part[name])),
                  );
                  return tf.matMul(x as tf.Tensor2D, dz as tf.Tensor2D, true);
                }),
              );
              const { begin, end } = ROWS[replica]!;
              const stepped = isDivided
                ? expected.map(gradient => tf.slice(gradient, [begin, 0], [end - begin, UNITS]))
                : [tf.clone(expected[replica]!)];
              expectTensorsClose(
                [...own.ofEntries()].map(gradient => gradient!),
                stepped,
                'gradient',
              );
              const squared = stepped.reduce(
                (sum, gradient) => sum + tf.tidy(() => tf.sum(tf.square(gradient)).dataSync()[0]!),
                0,
              );
              expect(own.squaredNorm()).toBeCloseTo(squared, 3);
              own.scale(0.5);
              const halved = tf.tidy(() => stepped.map(gradient => tf.mul(gradient, 0.5)));
              expectTensorsClose(
                [...own.ofEntries()].map(gradient => gradient!),
                halved,
                'scaled gradient',
              );
              tf.dispose([expected, stepped, halved]);
            }
            for (const own of gradients) own.clear();
            tf.dispose(sent.flat().filter(tensor => tensor !== undefined));
            tf.dispose([variables, samples.flat().map(part => [part.x, part.dz])]);
            expect(tf.memory().numTensors).toBe(numTensors);
          }),
          { numRuns: 20 },
        );
      },
    );

    it('are computed one by one, each when it is asked for, and may be let go before the next', () => {
      const { gradients, variables } = replicas(whole);
      const [x, dz] = [uniform([2, INPUTS], 1), uniform([2, UNITS], 2)];
      const stepper = gradients[1]!;
      const { numTensors } = tf.memory();
      stepper.addFromReplica([undefined, x, dz]);
      const turns = stepper.ofEntries();
      expect(tf.memory().numTensors).toBe(numTensors);
      // In somebody's scope, which must not end what is not its own.
      const first = tf.tidy(() => turns.next().value);
      expect(tf.memory().numTensors).toBe(numTensors + 1);
      expect(first!.isDisposed).toBe(false);
      stepper.release(0);
      expect(tf.memory().numTensors).toBe(numTensors);
      expect(turns.next().done).toBe(true);
      stepper.clear();
      tf.dispose([variables, x, dz]);
    });

    it('are computed once for a weight that is stepped twice, as in two nested models', () => {
      const { gradients, variables } = replicas(whole, weight => [weight, 2 + weight]);
      const [x, dz] = [uniform([2, INPUTS], 1), uniform([2, UNITS], 2)];
      const expected = tf.tidy(() => tf.matMul(x as tf.Tensor2D, dz as tf.Tensor2D, true));
      const stepper = gradients[1]!;
      const { numTensors } = tf.memory();
      stepper.addFromReplica([undefined, x, dz]);
      let entry = 0;
      for (const gradient of stepper.ofEntries()) {
        expectTensorsClose([gradient!], [expected], 'gradient');
        stepper.release(entry++);
      }
      expect(entry).toBe(2);
      expect(tf.memory().numTensors).toBe(numTensors);
      tf.dispose([variables, x, dz, expected]);
    });

    it('are computed where this replica has no samples, or no product', () => {
      const { gradients, variables } = replicas(whole);
      const [x, dz, own] = [uniform([2, INPUTS], 1), uniform([2, UNITS], 2), uniform([INPUTS, UNITS], 3)];
      const expected = tf.tidy(() => tf.matMul(x as tf.Tensor2D, dz as tf.Tensor2D, true));
      const stepper = gradients[1]!;
      const { numTensors } = tf.memory();
      for (const besides of [undefined, own]) {
        if (besides !== undefined) stepper.add(1, tf.clone(besides), 0);
        stepper.addFromReplica([undefined, x, dz]);
        stepper.computeFactors();
        const sum = tf.tidy(() => (besides === undefined ? tf.clone(expected) : tf.add(expected, besides)));
        expectTensorsClose([[...stepper.ofEntries()][0]!], [sum], 'gradient');
        sum.dispose();
        stepper.clear();
      }
      expect(tf.memory().numTensors).toBe(numTensors);
      tf.dispose([variables, x, dz, own, expected]);
    });
  });
});
