/** What the planner takes replicas to exchange. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { readGraph } from '#internal/model/index.js';
import { valueBytes } from '#internal/scheduler/driver/measure.js';
import { replicaBytesOf } from '#internal/scheduler/driver/replica-bytes.js';

beforeAll(() => tf.setBackend('cpu'));

it('is weights, or the factors of their gradients where a dense layer has smaller ones', () => {
  const { layers } = tf;
  const shared = layers.dense({ units: 20 });
  const input = tf.input({ shape: [6, 6, 2] });
  const convolved = layers.conv2d({ filters: 3, kernelSize: 3 }).apply(input) as tf.SymbolicTensor;
  const flat = layers.flatten().apply(convolved) as tf.SymbolicTensor;
  const wide = layers.dense({ units: 20 }).apply(flat) as tf.SymbolicTensor;
  const output = shared.apply(shared.apply(wide)) as tf.SymbolicTensor;
  const graph = readGraph(tf.model({ inputs: input, outputs: output }));
  const [convolution, dense, twice] = [3 * 3 * 2 * 3 + 3, 48 * 20 + 20, 20 * 20 + 20].map(
    size => 4 * size,
  ) as [number, number, number];
  const weights = [convolution, dense + twice];
  const bytesAt = (rows: number, microBatches = 1) =>
    replicaBytesOf(graph, [2], valueBytes(graph, rows), microBatches);
  expect(bytesAt(3).map(stage => stage.weights)).toEqual(weights);
  // Rows × (inputs + units), in float32.
  expect(bytesAt(3).map(stage => stage.gradients)).toEqual([
    convolution,
    4 * 3 * (48 + 20) + 4 * 3 * (20 + 20),
  ]);
  expect(bytesAt(12).map(stage => stage.gradients)).toEqual([convolution, 4 * 12 * (48 + 20) + twice]);
  expect(bytesAt(100).map(stage => stage.gradients)).toEqual(weights);
  expect(bytesAt(3, 2).map(stage => stage.gradients)).toEqual(weights);
});
