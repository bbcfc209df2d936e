import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  closedCuts,
  crossingValues,
  cutModel,
  cutPoints,
  inferShapes,
  readGraph,
  stageTopology,
} from '#internal/model/index.js';
import { useBackend } from '../helpers/backends.js';
import {
  branching,
  cnn,
  frozenMiddle,
  frozenPrefix,
  type ModelKind,
  shared,
  skipping,
} from '../helpers/models.js';
import { wire, withCuts } from './support.js';

function graphOf(kind: ModelKind) {
  const model = kind.build();
  model.compile({ optimizer: 'sgd', loss: kind.loss });
  return readGraph(model);
}

const cutWirings = withCuts(wiring => {
  const graph = readGraph(wire(wiring));
  return { graph, points: cutPoints(graph) };
});

describe('cutting a model', () => {
  beforeAll(() => useBackend('cpu'));

  it('is possible between any two calls of a chain', () => {
    expect(cutPoints(graphOf(cnn))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('separates calls of a layer that shares nothing but trainable weights', () => {
    const graph = graphOf(shared);
    expect(cutPoints(graph)).toHaveLength(graph.nodes.length - 1);
    expect(closedCuts(graph).size).toBe(0);
    const { nodes, index } = graph.layers.find(({ name }) => name === 'twice')!;
    const cut = cutModel(graph, [nodes[1]!]);
    const tied = cut.weights.filter(({ owner }) => owner.layer === index);
    expect(tied.map(({ owner, users }) => [owner.stage, users.map(({ stage }) => stage)])).toEqual([
      [0, [1]],
      [0, [1]],
    ]);
    expect(stageTopology(cut, true).ties).toEqual([{ owner: 0, user: 1 }]);
  });

  it.each([
    ['running statistics', () => tf.layers.batchNormalization({ name: 'twice' })],
    ['random numbers', () => tf.layers.dropout({ name: 'twice', rate: 0.5 })],
    [
      'random numbers deep inside',
      () => tf.layers.timeDistributed({ name: 'twice', layer: tf.layers.dropout({ rate: 0.5 }) }),
    ],
    [
      'dropout of a recurrent cell',
      () => tf.layers.lstm({ name: 'twice', units: 3, returnSequences: true, recurrentDropout: 0.1 }),
    ],
  ])('keeps all calls of a shared layer with %s together', (_, twice) => {
    const layer = twice();
    const input = tf.input({ shape: [4, 3] });
    let value = layer.apply(input);
    value = tf.layers.dense({ units: 3 }).apply(value);
    value = tf.layers.dense({ units: 2 }).apply(layer.apply(value));
    const model = tf.model({ inputs: input, outputs: value as tf.SymbolicTensor });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    const graph = readGraph(model);
    const { nodes } = graph.layers.find(({ name }) => name === 'twice')!;
    const [first, last] = [nodes[0]!, nodes[1]!];
    expect([...closedCuts(graph)]).toEqual([
      [first + 1, 'twice'],
      [last, 'twice'],
    ]);
    for (const point of cutPoints(graph)) expect(point <= first || point > last).toBe(true);
    expect(cutPoints(graph)).toContain(last + 1);
  });

  it('is crossed by what was made before and is read after, and by nothing else', () => {
    fc.assert(
      fc.property(cutWirings, ({ parts: { graph, points } }) => {
        for (const point of points) {
          const made = new Set(graph.nodes.slice(0, point).flatMap(({ outputs }) => outputs));
          const read = new Set(graph.nodes.slice(point).flatMap(({ inputs }) => inputs));
          expect(new Set(crossingValues(graph, point))).toEqual(
            new Set([...made].filter(id => read.has(id))),
          );
        }
        graph.model.dispose();
      }),
      { numRuns: 50 },
    );
  });

  it('puts each call, input and output into a stage, and sends each value straight to every stage that reads it', () => {
    fc.assert(
      fc.property(cutWirings, ({ parts: { graph }, cuts }) => {
        const { stages, edges } = cutModel(graph, cuts);
        expect(stages.flatMap(({ nodes }) => nodes)).toEqual(graph.nodes.map(({ index }) => index));
        expect(stages.flatMap(({ outputs }) => outputs).sort()).toEqual(
          graph.outputs.map((_, index) => index),
        );
        const expected = new Map<string, number[]>();
        for (const from of stages) {
          const made = from.nodes.flatMap(index => graph.nodes[index]!.outputs);
          for (const to of stages.slice(from.index + 1)) {
            const read = new Set(to.nodes.flatMap(index => graph.nodes[index]!.inputs));
            const values = made.filter(id => read.has(id));
            if (values.length > 0) expected.set(`${from.index}>${to.index}`, values);
          }
        }
        expect(new Map(edges.map(({ from, to, values }) => [`${from}>${to}`, values]))).toEqual(expected);
        for (const stage of stages) {
          const reads = new Set(stage.nodes.flatMap(index => graph.nodes[index]!.inputs));
          expect(stage.inputs).toEqual(graph.inputs.flatMap((id, index) => (reads.has(id) ? [index] : [])));
        }
        graph.model.dispose();
      }),
      { numRuns: 50 },
    );
  });

  it('sends a skipping value over two stages without a relay', () => {
    const { edges } = cutModel(graphOf(skipping), [1, 2, 3]);
    expect(edges.map(({ from, to, values }) => [from, to, values.length])).toEqual([
      [0, 1, 1],
      [0, 3, 1],
      [1, 2, 1],
      [1, 3, 1],
      [2, 3, 1],
    ]);
  });

  it('sends no gradients to where nothing can learn', () => {
    const gradients = (kind: ModelKind): boolean[] =>
      stageTopology(cutModel(graphOf(kind), [1, 2, 3]), true).edges.map(({ gradient }) => gradient);
    expect(gradients(frozenPrefix)).toEqual([false, false, true]);
    expect(gradients(frozenMiddle)).toEqual([true, true, true]);
  });

  it('feeds the stages with inputs, and for training those with targets too', () => {
    const graph = graphOf(branching);
    const cut = cutModel(graph, cutPoints(graph));
    const withInputs = cut.stages.filter(({ inputs }) => inputs.length > 0).map(({ index }) => index);
    const withOutputs = cut.stages.filter(({ outputs }) => outputs.length > 0).map(({ index }) => index);
    expect(withInputs).toHaveLength(2);
    expect(withOutputs).toHaveLength(2);
    expect(stageTopology(cut, false).fedStages).toEqual(withInputs);
    expect(new Set(stageTopology(cut, true).fedStages)).toEqual(new Set([...withInputs, ...withOutputs]));
    expect(stageTopology(cut, true).outputStages).toEqual(withOutputs);
  });

  it('knows the shape of every value for given inputs, open axes included', () => {
    const input = tf.input({ shape: [null, 3] });
    const sequence = tf.layers.lstm({ units: 4, returnSequences: true }).apply(input);
    const output = tf.layers.globalAveragePooling1d({}).apply(sequence) as tf.SymbolicTensor;
    const graph = readGraph(tf.model({ inputs: input, outputs: output }));
    expect(inferShapes(graph, [[5, 7, 3]])).toEqual([
      [5, 7, 3],
      [5, 7, 4],
      [5, 4],
    ]);
    expect(inferShapes(graphOf(cnn), [[2, 8, 8, 2]]).at(-1)).toEqual([2, 4]);
  });
});
