import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { readGraph } from '#internal/model/index.js';
import { useBackend } from '../helpers/backends.js';
import { branching, nested, shared, skipping } from '../helpers/models.js';
import { wire, wirings } from './support.js';

type Graph = ReturnType<typeof readGraph>;

const namesInOrder = (graph: Graph): string[] => graph.nodes.map(node => graph.layers[node.layer]!.name);

describe('the graph of a model', () => {
  beforeAll(() => useBackend('cpu'));

  it('lists the calls of a sequential model in order, each reading what the one before made', () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: [3], units: 4, name: 'a' }),
        tf.layers.dropout({ rate: 0.5, name: 'b' }),
        tf.layers.dense({ units: 2, name: 'c' }),
      ],
    });
    const graph = readGraph(model);
    expect(namesInOrder(graph)).toEqual(['a', 'b', 'c']);
    expect(graph.nodes.map(({ inputs, outputs }) => [inputs, outputs])).toEqual([
      [[0], [1]],
      [[1], [2]],
      [[2], [3]],
    ]);
    expect(graph.values.map(({ shape, producer, consumers }) => ({ shape, producer, consumers }))).toEqual([
      { shape: [null, 3], producer: -1, consumers: [0] },
      { shape: [null, 4], producer: 0, consumers: [1] },
      { shape: [null, 4], producer: 1, consumers: [2] },
      { shape: [null, 2], producer: 2, consumers: [] },
    ]);
    expect(graph.layers.map(({ parameterCount, weightBytes }) => [parameterCount, weightBytes])).toEqual([
      [16, 64],
      [0, 0],
      [10, 40],
    ]);
  });

  it('names every reader of a value that skips layers, once each', () => {
    const graph = readGraph(skipping.build());
    const names = namesInOrder(graph);
    expect(names.slice(0, 5)).toEqual(['first', 'second', 'third', 'sum', 'all']);
    const first = graph.values.find(({ producer }) => names[producer] === 'first')!;
    expect(first.consumers.map(node => names[node])).toEqual(['second', 'sum', 'all']);
  });

  it('keeps inputs and outputs in the order of the model, whatever order they are computed in', () => {
    const model = branching.build();
    const turned = tf.model({ inputs: [...model.inputs].reverse(), outputs: [...model.outputs].reverse() });
    for (const one of [model, turned]) {
      const graph = readGraph(one);
      expect(graph.inputs.map(id => graph.values[id]!.shape)).toEqual(one.inputs.map(({ shape }) => shape));
      expect(graph.outputs.map(id => graph.values[id]!.shape)).toEqual(one.outputs.map(({ shape }) => shape));
    }
  });

  it('has one layer and two nodes for a layer that is called twice', () => {
    const graph = readGraph(shared.build());
    const twice = graph.layers.find(({ name }) => name === 'twice')!;
    expect(twice.nodes).toHaveLength(2);
    const [left, right] = twice.nodes.map(index => graph.nodes[index]!);
    expect(left!.layer).toBe(right!.layer);
    expect([...left!.inputs, ...right!.inputs]).toEqual(graph.inputs);
    expect(graph.layers.reduce((sum, { parameterCount }) => sum + parameterCount, 0)).toBe(
      shared.build().countParams(),
    );
  });

  it('leaves out the calls of a layer that belong to another model', () => {
    const input = tf.input({ shape: [3] });
    const layer = tf.layers.dense({ units: 3 });
    const once = layer.apply(input) as tf.SymbolicTensor;
    const again = layer.apply(once) as tf.SymbolicTensor;
    tf.model({ inputs: input, outputs: again });
    expect(readGraph(tf.model({ inputs: input, outputs: once })).nodes).toHaveLength(1);
  });

  it('takes a nested model as one node with all its weights', () => {
    const model = nested.build();
    const graph = readGraph(model);
    expect(graph.nodes).toHaveLength(4);
    expect(graph.layers[1]!.parameterCount).toBe(8 * 6 + 6 + 6 * 7 + 7);
  });

  it('reads element types', () => {
    const input = tf.input({ shape: [5], dtype: 'int32' });
    const output = tf.layers.embedding({ inputDim: 4, outputDim: 2 }).apply(input) as tf.SymbolicTensor;
    const graph = readGraph(tf.model({ inputs: input, outputs: output }));
    expect(graph.values.map(({ dtype }) => dtype)).toEqual(['int32', 'float32']);
  });

  it('puts every call behind those that it reads, for any wiring', () => {
    fc.assert(
      fc.property(wirings, wiring => {
        const model = wire(wiring);
        const graph = readGraph(model);
        expect(graph.nodes).toHaveLength(wiring.length);
        for (const { index, inputs, outputs } of graph.nodes) {
          for (const id of inputs) {
            expect(graph.values[id]!.producer).toBeLessThan(index);
            expect(graph.values[id]!.consumers).toContain(index);
          }
          for (const id of outputs) expect(graph.values[id]!.producer).toBe(index);
        }
        for (const { id, consumers } of graph.values) {
          expect(consumers).toEqual(
            graph.nodes.filter(({ inputs }) => inputs.includes(id)).map(({ index }) => index),
          );
        }
        model.dispose();
      }),
      { numRuns: 50 },
    );
  });

  it('stays within the stack for a model of thousands of layers', () => {
    const input = tf.input({ shape: [1] });
    let value: tf.SymbolicTensor = input;
    for (let depth = 0; depth < 3000; depth++) {
      value = tf.layers.activation({ activation: 'linear' }).apply(value) as tf.SymbolicTensor;
    }
    // tf.model() itself recurses, so the deep part comes in behind its back.
    const shallow = tf.layers.activation({ activation: 'linear' }).apply(input) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: shallow });
    model.outputs = [value];
    expect(readGraph(model).nodes).toHaveLength(3000);
  });
});
