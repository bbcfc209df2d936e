import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, loadBackend } from '#internal/backends/index.js';
import type { StageSpec } from '#internal/protocol/stage-spec.js';
import type { StageLayers } from '#internal/stages/layers.js';
import { WeightGradients } from '#internal/stages/weight-gradients.js';
import { describeOnBackends, useBackend } from '../helpers/backends.js';

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
      replica: 0,
    }));
    const spec = {
      stage: 0,
      replica: 0,
      replicaStages: [0],
      trainable,
      copies: [],
      lent: [],
    } as unknown as StageSpec;
    const layers = { variable: ({ weight }: { weight: number }) => variables[weight]! } as StageLayers;
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
      const [first, second] = gradients.ofEntries.map(sum => [...new Set(sum!.dataSync())]);
      expect(first).toEqual([1111]);
      expect(second).toEqual([6]);
      expect([...new Set(shared.dataSync())]).toEqual([1]);
      gradients.clear();
      shared.dispose();
      expect(tf.memory().numTensors).toBe(numTensors);
    });
  });
});
