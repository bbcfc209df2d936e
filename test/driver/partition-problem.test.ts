/** Which cuts are looked at where a kernel can apply the activation behind its layer. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { readGraph } from '#internal/model/index.js';
import { partitionProblem, withActivationsKept } from '#internal/scheduler/driver/partition-problem.js';

beforeAll(() => tf.setBackend('cpu'));

const { layers } = tf;

function problemOf(...parts: tf.layers.Layer[]) {
  const model = tf.sequential({ layers: [layers.inputLayer({ inputShape: [4] }), ...parts] });
  const problem = partitionProblem(readGraph(model));
  model.dispose();
  return problem;
}

const dense = (activation?: 'tanh') => layers.dense({ units: 4, ...(activation && { activation }) });
const activation = (name: 'relu' | 'softplus') => layers.activation({ activation: name });

it('cuts between a layer and its activation are left out while others are enough', () => {
  const problem = problemOf(dense(), activation('relu'), dense(), layers.reLU(), dense());
  expect(problem.allowedCuts).toEqual([1, 2, 3, 4]);
  expect(withActivationsKept(problem, 2).allowedCuts).toEqual([2, 4]);
  expect(withActivationsKept(problem, 3).allowedCuts).toEqual([2, 4]);
  expect(withActivationsKept(problem, 4).allowedCuts).toEqual([1, 2, 3, 4]);
});

it('cuts before what no kernel applies are cuts like others', () => {
  const problem = problemOf(
    dense(),
    activation('softplus'),
    dense('tanh'),
    activation('relu'),
    layers.dropout({ rate: 0.5 }),
    layers.reLU(),
    dense(),
    layers.reLU({ maxValue: 6 }),
  );
  expect(withActivationsKept(problem, 2).allowedCuts).toEqual([1, 2, 3, 4, 5, 6, 7]);
});
