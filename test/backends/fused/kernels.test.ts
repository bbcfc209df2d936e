/** The table of fused kernels against what is registered, and each kernel's gradients: lazy, apart, and without leaks. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { FUSED_KERNELS } from '#internal/backends/fused-kernels.js';
import type { FusedOperations } from '#internal/backends/fused-operations.js';
import { LOWERED_CLASSES } from '#internal/stages/lowering/index.js';
import { disposeTape, recordTape, type TapeNode } from '#internal/tfjs/internals.js';
import { backends, HAS_KERNELS, useBackend } from '../../helpers/backends.js';
import { expectTensorsClose } from '../../helpers/compare.js';
import { oneHot, uniform } from '../../helpers/data.js';
import { OPERATIONS } from './layer-oracle.js';
import { countOps } from './ops-of.js';

const settings = { strides: [1, 1], padding: 'same', activation: 'relu' } as const;
const recurrent = {
  gate: 'hardSigmoid',
  activation: 'tanh',
  returnSequences: true,
  goBackwards: false,
} as const;

/** Too many for the loss in JavaScript. */
const LARGE_ROWS = 1_000;

type Make = (operations: FusedOperations) => tf.Tensor;

const callLstm: Make = ops =>
  ops.lstm(
    uniform([2, 4, 3], 1) as tf.Tensor3D,
    { kernel: uniform([3, 8], 2), recurrentKernel: uniform([2, 8], 3), bias: uniform([8], 4) },
    recurrent,
  );

const callSimpleRnn: Make = ops =>
  ops.simpleRnn(
    uniform([2, 4, 3], 1) as tf.Tensor3D,
    { kernel: uniform([3, 2], 2), recurrentKernel: uniform([2, 2], 3), bias: uniform([2], 4) },
    { activation: 'tanh', returnSequences: true, goBackwards: false },
  );

const callGru: Make = ops =>
  ops.gru(
    uniform([2, 4, 3], 1) as tf.Tensor3D,
    { kernel: uniform([3, 6], 2), recurrentKernel: uniform([2, 6], 3), bias: uniform([6], 4) },
    recurrent,
  );

const callBatchNorm: Make = ops =>
  ops.batchNorm(
    uniform([6, 3], 1),
    uniform([3], 2),
    uniform([3], 3),
    { epsilon: 1e-3, activation: 'linear' },
    () => {},
  );

const callLayerNorm: Make = ops =>
  ops.layerNorm(uniform([4, 2, 5], 1), uniform([5], 2), uniform([5], 3), 1e-3);

/** Without ops of Millrace's own. */
function ofOps(make: Make): Make {
  return operations => {
    vi.stubEnv('MILLRACE_KERNELS', '0');
    try {
      return make(operations);
    } finally {
      vi.unstubAllEnvs();
    }
  };
}

/** What runs on ops of Millrace's own alone. */
const NEEDS_OWN_OPS = ['MillraceBatchNorm', 'MillraceLayerNorm', 'MillraceLstm', 'MillraceGru'];

/** One call of each kernel, all inputs from outside. */
const CALLS: Record<string, Make> = {
  MillraceDense: ops => ops.dense(uniform([3, 4], 1), uniform([4, 5], 2), uniform([5], 3), 'tanh'),
  MillraceConvolution: ops =>
    ops.convolution(uniform([2, 5, 5, 2], 1), uniform([3, 3, 2, 4], 2), uniform([4], 3), settings),
  MillraceDepthwiseConvolution: ops =>
    ops.depthwiseConvolution(
      uniform([2, 5, 5, 2], 1) as tf.Tensor4D,
      uniform([3, 3, 2, 1], 2) as tf.Tensor4D,
      uniform([2], 3),
      settings,
    ),
  MillraceBatchNorm: callBatchNorm,
  MillraceBatchNormOfOps: ofOps(callBatchNorm),
  MillraceLayerNorm: callLayerNorm,
  MillraceLayerNormOfOps: ofOps(callLayerNorm),
  MillraceActivationOfOutput: ops => ops.activation(uniform([3, 4], 1), 'sigmoid'),
  MillraceActivationOfInput: ops => ops.activation(uniform([3, 4], 1), 'softplus'),
  MillraceEmbedding: ops => ops.embedding(uniform([5, 3], 1), tf.tensor2d([[0, 2, 4]], undefined, 'int32')),
  MillraceSimpleRnn: callSimpleRnn,
  MillraceLstm: callLstm,
  MillraceLstmOfOps: ofOps(callLstm),
  MillraceHeapLstm: callLstm,
  MillraceGru: callGru,
  MillraceGruOfOps: ofOps(callGru),
  MillraceHeapGru: callGru,
  MillraceMaxPool: ops =>
    ops.maxPool(uniform([2, 4, 6, 3], 1) as tf.Tensor4D, { size: [2, 3], strides: [2, 1], padding: 'same' }),
  MillraceGlobalAverage: ops => ops.globalAverage(uniform([2, 3, 4, 2], 1)),
  MillraceGlobalMax: ops => ops.globalMax(uniform([2, 3, 4], 1) as tf.Tensor3D),
  MillraceCategoricalCrossentropy: ops =>
    ops.categoricalCrossentropy(oneHot(4, 3, 1), tf.softmax(uniform([4, 3], 2))),
  MillraceLargeCrossentropy: ops =>
    ops.categoricalCrossentropy(oneHot(LARGE_ROWS, 9, 1), tf.softmax(uniform([LARGE_ROWS, 9], 2))),
};

const SAMPLE_INPUTS = ['x', 'probabilities'];

describe('the table of fused kernels', () => {
  it('has a row for every lowered layer class and only for those', () => {
    const used = new Set(FUSED_KERNELS.flatMap(({ usedBy }) => usedBy));
    expect([...used].sort()).toEqual([...LOWERED_CLASSES, 'categoricalCrossentropy'].sort());
  });

  it('has a row for each kernel that is tried here', () => {
    expect(FUSED_KERNELS.map(({ kernel }) => kernel).sort()).toEqual(Object.keys(CALLS).sort());
  });
});

const PRESENT = backends().filter(backend => OPERATIONS[backend] !== undefined);

describe.each(PRESENT)('a fused kernel on %s', backend => {
  const rows = FUSED_KERNELS.filter(row => row.backends.includes(backend));
  const operations = OPERATIONS[backend] as FusedOperations;
  beforeAll(() => useBackend(backend));

  it('is registered with its gradient for the backends of its row, and there alone', () => {
    for (const { kernel, backends: named } of FUSED_KERNELS) {
      for (const other of ['tensorflow', 'wasm', 'cpu'] as const) {
        const registered = tf.getKernelsForBackend(other).some(({ kernelName }) => kernelName === kernel);
        expect([kernel, other, registered]).toEqual([kernel, other, named.includes(other)]);
      }
      expect(tf.getGradient(kernel)).toBeDefined();
    }
    const own = tf
      .getKernelsForBackend(backend)
      .filter(({ kernelName }) => kernelName.startsWith('Millrace'));
    expect(own).toHaveLength(rows.length);
  });

  const testable = rows.filter(({ kernel }) => HAS_KERNELS || !NEEDS_OWN_OPS.includes(kernel));
  describe.each(testable.map(row => [row.kernel, row] as const))('%s', (kernel, { separatesWeights }) => {
    function record(): { node: TapeNode; tape: TapeNode[]; output: tf.Tensor } {
      const { result: output, tape } = recordTape(() => tf.keep(CALLS[kernel]!(operations)));
      const node = tape.find(({ kernelName }) => kernelName === kernel)!;
      return { node, tape, output };
    }

    it('computes no gradient before it is asked for it', () => {
      tf.tidy(() => {
        const { node, tape } = record();
        const dy = uniform(node.outputs[0]!.shape, 9);
        expect(countOps(() => node.gradient!([dy]))).toBe(0);
        disposeTape(tape);
      });
    });

    it.runIf(separatesWeights !== undefined)('has the separation of B and W that the table says', () => {
      tf.tidy(() => {
        const { node, tape } = record();
        const dy = uniform(node.outputs[0]!.shape, 9);
        const thunks = node.gradient!([dy]);
        const weights = Object.keys(thunks).filter(name => !SAMPLE_INPUTS.includes(name));
        if (thunks['x'] !== undefined) tf.clone(thunks['x']());
        for (const name of weights) {
          const count = countOps(() => thunks[name]!());
          expect(count > 0, `${name} is computed by itself`).toBe(separatesWeights);
        }
        disposeTape(tape);
      });
    });

    it('gives the same gradients in any order, W long before B too', () => {
      tf.tidy(() => {
        const inOrder = (names: (all: string[]) => string[]): Record<string, tf.Tensor> => {
          const { node, tape } = record();
          const thunks = node.gradient!([uniform(node.outputs[0]!.shape, 9)]);
          const made = names(Object.keys(thunks)).map(name => [name, tf.clone(thunks[name]!())] as const);
          disposeTape(tape);
          return Object.fromEntries(made);
        };
        const forwards = inOrder(names => names);
        const backwards = inOrder(names => [...names].reverse());
        const names = Object.keys(forwards);
        expectTensorsClose(
          names.map(name => backwards[name]!),
          names.map(name => forwards[name]!),
          kernel,
        );
      });
    });

    it('leaves nothing behind, with its gradients and without', () => {
      const { numTensors, numDataBuffers } = tf.memory();
      const run = (wanted: boolean): void => {
        tf.engine().startScope();
        const { node, tape, output } = record();
        if (wanted)
          for (const thunk of Object.values(node.gradient!([uniform(node.outputs[0]!.shape, 9)]))) thunk();
        disposeTape(tape);
        output.dispose();
        tf.engine().endScope();
      };
      run(true);
      run(false);
      tf.tidy(() => {
        CALLS[kernel]!(operations);
      });
      expect(tf.memory()).toMatchObject({ numTensors, numDataBuffers });
    });
  });

  it.runIf(backend === 'tensorflow')('of the cross-entropy tells an overflow by NaN, as tfjs does', () => {
    const probabilities = tf.tensor2d([[Number.POSITIVE_INFINITY, 0.2]]);
    const target = tf.tensor2d([[0, 1]]);
    expect(tf.metrics.categoricalCrossentropy(target, probabilities).dataSync()[0]).toBeNaN();
    expect(operations.categoricalCrossentropy(target, probabilities).dataSync()[0]).toBeNaN();
  });

  it.runIf(backend === 'tensorflow').each([
    ['few', 1],
    ['many', LARGE_ROWS],
  ])('of the cross-entropy equals tfjs where %s probabilities are clipped, scaled or exact', (_, times) => {
    const some = tf.tensor2d([
      [1, 0, 0],
      [0, 1, 0],
      [1e-9, 1 - 1e-9, 0],
      [0.2, 0.3, 0.1],
      [2, 5, 3],
      [0.3, 0.3, 0.4],
    ]);
    const probabilities = tf.tile(some, [times, 1]);
    const targets = [oneHot(6, 3, 2), uniform([6, 3], 3, 0, 1), tf.zeros([6, 3])];
    for (const target of targets.map(few => tf.tile(few, [times, 1]))) {
      const gradientOf = (loss: (p: tf.Tensor) => tf.Tensor): [tf.Tensor, tf.Tensor] => [
        loss(probabilities),
        tf.grad(p => tf.sum(tf.mul(loss(p), tf.tile(tf.tensor1d([1, 2, 3, 4, 5, 6]), [times]))))(
          probabilities,
        ),
      ];
      const expected = gradientOf(p => tf.metrics.categoricalCrossentropy(target, p));
      expectTensorsClose(
        gradientOf(p => operations.categoricalCrossentropy(target, p)),
        expected,
        'loss and gradient',
      );
    }
  });
});
