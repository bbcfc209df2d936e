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

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, axis) => size * axis, 1);

const MOST_UNITS = 40;
/** Parts of a weight begin at aligned places: every sixteenth row is one. */
const COARSEST = 16 * MOST_UNITS;

const cases = fc.record({
  units: fc.array(fc.oneof(fc.integer({ min: 1, max: MOST_UNITS }), fc.constantFrom(16, 32)), {
    minLength: 1,
    maxLength: 6,
  }),
  frozen: fc.array(fc.boolean(), { maxLength: 6 }),
  cutCount: fc.nat(3),
  replicas: fc.integer({ min: 1, max: 4 }),
});

it('every small weight is stepped by one replica, and shares of a stage are nearly equal', () => {
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
          replicaMessage(cut, index, replica, shares).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
        );
        const largest = Math.max(
          0,
          ...cut.weights
            .filter(({ owner, frozen: isFrozen }) => owner.stage === index && !isFrozen)
            .map(({ shape }) => sizeOf(shape)),
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

it('a matrix of more than a fair share is divided by rows, and every row is stepped by one replica', () => {
  fc.assert(
    fc.property(
      cases,
      fc.integer({ min: 1, max: 60 }),
      ({ units, frozen, cutCount, replicas }, leastShare) => {
        const model = modelOf(units, frozen);
        const graph = readGraph(model);
        const cut = cutModel(graph, cutPoints(graph).slice(0, cutCount));
        const shares = shareWeights(cut, replicas, leastShare);
        for (const { index } of cut.stages) {
          const own = cut.weights.filter(({ owner, frozen: isFrozen }) => owner.stage === index && !isFrozen);
          const fairShare = own.reduce((sum, { shape }) => sum + sizeOf(shape), 0) / replicas;
          const whole = new Array<number>(replicas).fill(0);
          const undivided: { readonly replica: number; readonly shape: readonly number[] }[] = [];
          for (const { order, shape } of own) {
            const [first, ...others] = shares.get(order)!;
            if (first!.rows === undefined) {
              expect(others).toEqual([]);
              if (shape.length === 2 && replicas > 1) undivided.push({ replica: first!.replica, shape });
              whole[first!.replica]! += sizeOf(shape);
              continue;
            }
            expect(sizeOf(shape)).toBeGreaterThan(fairShare);
            const ranges = shares.get(order)!.map(({ rows }) => rows!);
            expect(ranges.map(({ begin }) => begin)).toEqual([
              0,
              ...ranges.slice(0, -1).map(({ end }) => end),
            ]);
            expect(ranges.at(-1)!.end).toBe(shape[0]);
            // Of elements: rows are dealt out by so many.
            const unit = [1, 2, 4, 8, 16].find(rows => (rows * shape[1]!) % 16 === 0)! * shape[1]!;
            for (const { begin, end } of ranges) {
              expect((end - begin) * shape[1]!).toBeGreaterThanOrEqual(Math.max(1, leastShare - unit));
              expect((begin * shape[1]! * 4) % 64).toBe(0);
            }
            const steppers = shares.get(order)!.map(({ replica }) => replica);
            expect(steppers).toEqual([...new Set(steppers)].sort((a, b) => a - b));
          }
          const sizes = Array.from({ length: replicas }, (_, replica) =>
            replicaMessage(cut, index, replica, shares).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
          );
          const bound = Math.max(...whole, fairShare + replicas * leastShare + COARSEST);
          expect(Math.max(...sizes)).toBeLessThanOrEqual(bound);
          // A large one stays whole only where parts would be too small.
          for (const { replica, shape } of undivided) {
            const size = sizeOf(shape);
            const besides = whole.map((load, index) => (index === replica ? load - size : load));
            const most = Math.max(fairShare, 2 * leastShare + Math.max(...besides) + COARSEST);
            expect(size).toBeLessThanOrEqual(most);
          }
        }
        model.dispose();
      },
    ),
    { numRuns: 60 },
  );
});

it('the parts of a divided weight are in the descriptions of the stages that step them', () => {
  const model = modelOf([400, 200], []);
  const cut = cutModel(readGraph(model), []);
  const rows = describeStages(cut, 2).map(spec => optimizerEntries(spec).flatMap(entry => entry.rows ?? []));
  // 400 × 200 elements, and 2,001 others.
  expect(rows.map(([first]) => first!.end - first!.begin).reduce((sum, count) => sum + count)).toBe(400);
  expect(rows.flat()).toHaveLength(2);
  expect(rows.flat().every(({ begin, end }) => end - begin > 180)).toBe(true);
  model.dispose();
});

it('a large weight whose parts would be too small is stepped as a whole by whoever has least, and others are still divided', () => {
  // Kernels of 3 × 40, 40 × 32 and 32 × 1: a fair share of two is 753 elements with the biases, so two parts of the second have fewer than 800.
  const model = modelOf([40, 32], []);
  const cut = cutModel(readGraph(model), []);
  const ofKernel = (leastShare: number) => {
    const { order } = cut.weights.find(({ shape }) => shape[0] === 40 && shape[1] === 32)!;
    return shareWeights(cut, 2, leastShare).get(order)!;
  };
  expect(ofKernel(100)).toHaveLength(2);
  expect(ofKernel(800)).toEqual([{ replica: 0, rows: undefined }]);
  model.dispose();
});

it('what is divided was decided when the model was cut, by the optimizer of then', () => {
  class Own extends tf.SGDOptimizer {}
  const model = modelOf([400, 200], []);
  const graph = readGraph(model);
  const cut = cutModel(graph, []);
  const before = shareWeights(cut, 2);
  expect([...before.values()].some(shares => shares.length === 2)).toBe(true);
  model.compile({ optimizer: new Own(0.1), loss: 'meanSquaredError' });
  expect(shareWeights(cut, 2)).toEqual(before);
  const after = shareWeights(cutModel(graph, []), 2);
  expect([...after.values()].every(shares => shares.length === 1)).toBe(true);
  model.dispose();
});

it('many small weights are shared out like the large ones that take as long to step', () => {
  // A kernel of 3 × 60, one of 60 × 1, eleven of 1 × 1, and biases: the first has more elements than all others together.
  const model = modelOf([60, ...Array<number>(11).fill(1)], []);
  const cut = cutModel(readGraph(model), []);
  const shares = shareWeights(cut, 2);
  const counts = [0, 1].map(replica => replicaMessage(cut, 0, replica, shares).length);
  expect(counts.reduce((sum, count) => sum + count)).toBe(26);
  expect(Math.abs(counts[0]! - counts[1]!)).toBeLessThanOrEqual(2);
  model.dispose();
});
