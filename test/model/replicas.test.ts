/** Which replica steps which weight, and that the stages' descriptions and messages agree on it. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import {
  cutModel,
  cutPoints,
  describeStages,
  readGraph,
  replicaMessage,
  shareWeights,
  steppingReplicas,
} from '#internal/model/index.js';
import { optimizerEntries } from '#internal/protocol/stage-spec.js';

beforeAll(() => tf.setBackend('cpu'));

function modelOf(units: readonly number[], frozen: readonly boolean[]): tf.LayersModel {
  const model = tf.sequential();
  units.forEach((size, index) => {
    model.add(
      tf.layers.dense({
        units: size,
        kernelInitializer: 'zeros',
        trainable: frozen[index] !== true,
        ...(index === 0 ? { inputShape: [3] } : {}),
      }),
    );
  });
  model.add(tf.layers.dense({ units: 1 }));
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  return model;
}

const cases = fc.record({
  units: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 }),
  frozen: fc.array(fc.boolean(), { maxLength: 6 }),
  cutCount: fc.nat(3),
  replicas: fc.integer({ min: 1, max: 4 }),
});

it('every weight is stepped by one replica, and shares of a stage are nearly equal', () => {
  fc.assert(
    fc.property(cases, ({ units, frozen, cutCount, replicas }) => {
      const model = modelOf(units, frozen);
      const graph = readGraph(model);
      const cut = cutModel(graph, cutPoints(graph).slice(0, cutCount));
      const shares = shareWeights(cut, replicas);
      const specs = describeStages(cut, replicas);
      expect(specs.map(({ stage }) => stage)).toEqual(specs.map((_, index) => index));
      for (const { index } of cut.stages) {
        const ofStage = specs.filter(spec => spec.stage % cut.stages.length === index);
        const stepped = ofStage.flatMap(spec => optimizerEntries(spec).map(({ position }) => position));
        const all = cut.weights
          .filter(({ owner }) => owner.stage === index)
          .flatMap(({ positions }) => positions);
        expect(stepped.sort()).toEqual(all.sort());
        const sizes = ofStage.map(({ replica }) =>
          replicaMessage(cut, index, replica, shares).reduce(
            (sum, { shape }) => sum + shape.reduce((size, axis) => size * axis, 1),
            0,
          ),
        );
        const largest = Math.max(
          0,
          ...cut.weights
            .filter(({ owner, frozen: isFrozen }) => owner.stage === index && !isFrozen)
            .map(({ shape }) => shape.reduce((size, axis) => size * axis, 1)),
        );
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(largest);
        expect(steppingReplicas(cut, replicas, shares)[index]).toEqual(
          sizes.flatMap((size, replica) => (size > 0 ? [replica] : [])),
        );
      }
      model.dispose();
    }),
    { numRuns: 40 },
  );
});
