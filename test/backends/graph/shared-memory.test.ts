/** Which results of a recorded computation are known to share no memory with what was given. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Backend, isSlotFree, loadBackend } from '#internal/backends/index.js';
import type { GraphNode } from '#internal/backends/tensorflow/graph/graph-def.js';
import { mayShareGivenMemory, WRITING_OPS } from '#internal/backends/tensorflow/graph/shared-memory.js';
import { rawOps } from '#internal/backends/tensorflow/raw-ops.js';
import { Arena } from '#internal/transport/index.js';
import { backends, useBackend } from '../../helpers/backends.js';

const node = (name: string, op: string, ...inputs: string[]): GraphNode => ({
  name,
  op,
  inputs,
  attributes: {},
});

describe('a source of a recorded graph', () => {
  const nodes = [
    node('given', 'Placeholder'),
    node('zeros', 'Const'),
    node('shape', 'Const'),
    node('product', 'MatMul', 'given:0', 'given:0'),
    node('reshaped', 'Reshape', 'given:0', 'shape:0'),
    node('summed', 'Sum', 'given:0', 'shape:0'),
    node('added', 'BiasAdd', 'given:0', 'zeros:0'),
    node('biased', 'BiasAdd', 'product:0', 'given:0'),
    node('passed', 'Identity', 'product:0'),
    node('matrix', 'Reshape', 'passed:0', 'shape:0'),
    node('parts', 'Split', 'shape:0', 'product:0'),
  ];
  it.each([
    ['given:0', true],
    ['zeros:0', true],
    ['product:0', false],
    ['reshaped:0', true],
    ['summed:0', true],
    ['added:0', true],
    ['biased:0', false],
    ['passed:0', false],
    ['matrix:0', false],
    ['parts:1', true],
  ])('%s may share given memory: %s', (source, expected) => {
    expect(mayShareGivenMemory(nodes)(source)).toBe(expected);
  });
});

type Inputs = readonly (readonly number[])[];

/** What the ops read, the smallest that they take: that is where an op might have nothing to do. */
const SMALLEST: Readonly<Record<(typeof WRITING_OPS)[number], Inputs>> = {
  BatchMatMulV2: [
    [1, 1],
    [1, 1],
  ],
  BiasAddGrad: [[1, 1]],
  Conv2D: [
    [1, 1, 1, 1],
    [1, 1, 1, 1],
  ],
  Elu: [[1]],
  EluGrad: [[1], [1]],
  MatMul: [
    [1, 1],
    [1, 1],
  ],
  Relu: [[1]],
  Relu6: [[1]],
  Relu6Grad: [[1], [1]],
  ReluGrad: [[1], [1]],
  Selu: [[1]],
  SeluGrad: [[1], [1]],
  Sigmoid: [[1]],
  SigmoidGrad: [[1], [1]],
  Softmax: [[1, 1]],
  Softplus: [[1]],
  SoftplusGrad: [[1], [1]],
  Tanh: [[1]],
  TanhGrad: [[1], [1]],
};

const larger = (inputs: Inputs): Inputs => inputs.map(shape => shape.map(() => 3));

/** 1 is what every op of the list but `Softmax` maps to something, and what a product or a ramp passes on as it is. */
const BEFORE = 1;
const POISON = 5;

function run(op: string, inputs: readonly tf.Tensor[]): tf.Tensor {
  const raw = rawOps();
  if (op !== 'Conv2D') return raw.map(op, ...inputs);
  const attributes = [
    ...raw.float,
    raw.ints('strides', [1, 1, 1, 1]),
    raw.string('padding', 'SAME'),
    raw.string('data_format', 'NHWC'),
  ];
  return raw.one(op, attributes, ...inputs);
}

describe.runIf(backends().includes('tensorflow'))('on tensorflow', () => {
  let backend: Backend;
  beforeAll(async () => {
    await useBackend('tensorflow');
    backend = await loadBackend('tensorflow');
  });

  /** Tensors on memory that the caller can overwrite, aligned as slots are: other memory is copied. */
  const onMemory = (shapes: Inputs): { tensors: tf.Tensor[]; memory: Float32Array<SharedArrayBuffer>[] } => {
    const memory = shapes.map(shape => {
      const size = tf.util.sizeFromShape([...shape]);
      const arena = Arena.create(4 * size);
      return new Float32Array(arena.buffer, arena.allocate(4 * size), size).fill(BEFORE);
    });
    const tensors = memory.map((data, index) =>
      backend.fromSlot(data, { dtype: 'float32', shape: [...shapes[index]!] }),
    );
    return { tensors, memory };
  };

  /** The op by itself, and as a graph, which TensorFlow optimizes. */
  const WAYS: readonly [string, (op: string, inputs: readonly tf.Tensor[]) => tf.Tensor][] = [
    ['called alone', run],
    [
      'in a graph',
      (op, inputs) =>
        backend.fused!.recordParts!(undefined, inputs, given => [() => [run(op, given)]])![0]!.run(
          inputs,
        )[0]!,
    ],
  ];

  it.each(
    WRITING_OPS.flatMap(op =>
      WAYS.flatMap(([way, call]) =>
        [SMALLEST[op], larger(SMALLEST[op])].map(shapes => ({ op, way, call, shapes })),
      ),
    ),
  )('$op writes its result for $shapes, $way', ({ op, call, shapes }) => {
    const { tensors, memory } = onMemory(shapes);
    const result = call(op, tensors);
    for (const data of memory) data.fill(POISON);
    const after = [...result.dataSync()];
    const { tensors: others } = onMemory(shapes);
    const expected = run(op, others);
    expect(after).toEqual([...expected.dataSync()]);
    // The memory is what the op read: a reshape of it does change.
    const reshaped = tf.reshape(tensors[0]!, [-1]);
    expect(reshaped.dataSync()[0]).toBe(POISON);
    tf.dispose([tensors, result, others, expected, reshaped]);
  });

  it('marks what the parts of a computation have written', () => {
    const record = backend.fused!.recordParts!;
    const x = tf.randomUniform([3, 3]);
    const parts = record(undefined, [x], ([given]) => {
      let product: tf.Tensor | undefined;
      return [
        () => {
          product = tf.matMul(given as tf.Tensor2D, given as tf.Tensor2D);
          return [tf.reshape(given!, [9]), product];
        },
        () => [tf.clone(product!), tf.slice(given!, [0, 0], [1, 3])],
      ];
    })!;
    const [reshaped, product, carried] = parts[0]!.run([x]) as [tf.Tensor, tf.Tensor, tf.Tensor];
    const later = parts[1]!.run(parts[1]!.reads.map(number => [x, reshaped, product, carried][number]!));
    expect([reshaped, product, ...later].map(isSlotFree)).toEqual([false, true, true, false]);
    const clone = tf.clone(product);
    expect(isSlotFree(clone)).toBe(true);
    tf.dispose([x, reshaped, product, carried, later, clone]);
  });
});
