/** Every lowered layer against tfjs's own path: outputs, gradients of input and weights, and what training does to weights. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { backends, HAS_KERNELS, useBackend } from '../../helpers/backends.js';
import { integers } from '../../helpers/data.js';
import { expectSameLayer } from './layer-oracle.js';

const { layers } = tf;
const INLINE = ['linear', 'relu', 'sigmoid', 'tanh', 'elu', 'softmax'] as const;
const AFTER = ['softplus', 'softsign', 'selu', 'hardSigmoid', 'swish', 'gelu'] as const;
const activations = fc.constantFrom(...INLINE, ...AFTER);
const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
const seed = fc.integer({ min: 1, max: 10_000 });
const padding = fc.constantFrom('same', 'valid') as fc.Arbitrary<'same' | 'valid'>;

/** Runs drawn cases inside a tidy scope of their own. */
async function forAll<T>(
  cases: fc.Arbitrary<T>,
  test: (drawn: T) => Promise<void>,
  numRuns = 40,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(cases, async drawn => {
      tf.engine().startScope();
      try {
        await test(drawn);
      } finally {
        tf.engine().endScope();
      }
    }),
    { numRuns },
  );
}

/** With ops of Millrace's own and without. */
const WAYS = [
  ...(HAS_KERNELS ? [{ kernels: '', batchNorm: 'MillraceBatchNorm', layerNorm: 'MillraceLayerNorm' }] : []),
  { kernels: '0', batchNorm: 'MillraceBatchNormOfOps', layerNorm: 'MillraceLayerNormOfOps' },
];

describe.skipIf(!backends().includes('tensorflow'))('a lowered layer computes what tfjs computes', () => {
  beforeAll(() => useBackend('tensorflow'));
  afterEach(() => void vi.unstubAllEnvs());

  it('dense, over inputs of rank 2 to 4', async () => {
    const cases = fc.record({
      shape: fc.array(size(5), { minLength: 2, maxLength: 4 }),
      units: size(6).filter(units => units > 1),
      useBias: fc.boolean(),
      activation: activations,
      seed,
    });
    await forAll(cases, async ({ shape, units, useBias, activation, seed }) => {
      const make = () => layers.dense({ units, useBias, activation });
      expect(await expectSameLayer({ make, shape, seed })).toContain('MillraceDense');
    });
  });

  /** Results of 2¹⁴ elements and more, which are computed as graphs. */
  const LARGE: readonly (readonly [
    string,
    readonly number[],
    (activation: string, useBias: boolean) => tf.layers.Layer,
  ])[] = [
    ['dense', [40, 30], (activation, useBias) => layers.dense({ units: 420, useBias, ...named(activation) })],
    [
      'dense of rank 3',
      [4, 10, 30],
      (activation, useBias) => layers.dense({ units: 420, useBias, ...named(activation) }),
    ],
    [
      'conv1d',
      [8, 70, 5],
      (activation, useBias) => layers.conv1d({ filters: 33, kernelSize: 3, useBias, ...named(activation) }),
    ],
    [
      'conv2d',
      [8, 17, 16, 3],
      (activation, useBias) =>
        layers.conv2d({ filters: 36, kernelSize: [3, 2], strides: [2, 1], useBias, ...named(activation) }),
    ],
    [
      'depthwiseConv2d',
      [8, 17, 16, 5],
      (activation, useBias) =>
        layers.depthwiseConv2d({
          kernelSize: 3,
          depthMultiplier: 2,
          padding: 'same',
          useBias,
          ...named(activation),
        }),
    ],
    [
      'separableConv2d',
      [8, 17, 16, 5],
      (activation, useBias) =>
        layers.separableConv2d({
          filters: 20,
          kernelSize: 3,
          padding: 'same',
          useBias,
          ...named(activation),
        }),
    ],
  ];
  const named = (activation: string) => ({ activation }) as { activation: 'relu' };

  it.each(LARGE)('large %s, with any activation', async (_, shape, makeLayer) => {
    const run = vi.spyOn(
      (tf.backend() as unknown as { binding: { runSavedModel(): unknown } }).binding,
      'runSavedModel',
    );
    try {
      for (const activation of [...INLINE, 'gelu']) {
        for (const useBias of [true, false]) {
          tf.engine().startScope();
          run.mockClear();
          await expectSameLayer({ make: () => makeLayer(activation, useBias), shape: [...shape], seed: 3 });
          const hasToJoin = useBias || INLINE.slice(1).some(name => name === activation);
          expect(run.mock.calls.length > 0).toBe(hasToJoin);
          tf.engine().endScope();
        }
      }
    } finally {
      run.mockRestore();
    }
  });

  it('conv2d, over strides, paddings and filter sizes', async () => {
    const cases = fc.record({
      shape: fc.tuple(size(3), fc.integer({ min: 4, max: 9 }), fc.integer({ min: 4, max: 9 }), size(5)),
      filters: fc.integer({ min: 2, max: 5 }),
      kernelSize: fc.tuple(size(4), size(4)),
      strides: fc.tuple(size(3), size(3)),
      padding,
      useBias: fc.boolean(),
      activation: activations,
      seed,
    });
    await forAll(cases, async ({ shape, seed, ...args }) => {
      const make = () => layers.conv2d(args);
      expect(await expectSameLayer({ make, shape, seed })).toContain('MillraceConvolution');
    });
  });

  it('conv1d', async () => {
    const cases = fc.record({
      shape: fc.tuple(size(3), fc.integer({ min: 4, max: 12 }), size(5)),
      filters: fc.integer({ min: 2, max: 5 }),
      kernelSize: size(4),
      strides: size(3),
      padding,
      useBias: fc.boolean(),
      activation: activations,
      seed,
    });
    await forAll(cases, async ({ shape, seed, ...args }) => {
      const make = () => layers.conv1d(args);
      expect(await expectSameLayer({ make, shape, seed })).toContain('MillraceConvolution');
    });
  });

  it.each(['depthwiseConv2d', 'separableConv2d'] as const)('%s', async kind => {
    const cases = fc.record({
      shape: fc.tuple(size(3), fc.integer({ min: 4, max: 8 }), fc.integer({ min: 4, max: 8 }), size(4)),
      filters: fc.integer({ min: 2, max: 5 }),
      kernelSize: fc.tuple(size(3), size(3)),
      strides: size(3),
      depthMultiplier: size(3),
      padding,
      useBias: fc.boolean(),
      activation: activations,
      seed,
    });
    await forAll(cases, async ({ shape, seed, ...args }) => {
      const make = () => layers[kind](args);
      expect(await expectSameLayer({ make, shape, seed })).toContain('MillraceDepthwiseConvolution');
    });
  });

  it.each(WAYS)(
    'batch norm, over inputs of rank 2 to 4, with its running statistics, by $batchNorm',
    async way => {
      vi.stubEnv('MILLRACE_KERNELS', way.kernels);
      const cases = fc.record({
        shape: fc.array(size(5), { minLength: 2, maxLength: 4 }),
        momentum: fc.double({ min: 0.1, max: 0.99, noNaN: true }),
        epsilon: fc.constantFrom(1e-3, 1e-2),
        seed,
      });
      await forAll(cases, async ({ shape, momentum, epsilon, seed }) => {
        // A variance near zero blows up rounding; one sample has no variance at all.
        const make = () => layers.batchNormalization({ momentum, epsilon });
        const sampled = [shape[0]! + 5, ...shape.slice(1)];
        const kernels = await expectSameLayer({ make, shape: sampled, seed, tolerance: 1e-4 });
        expect(kernels).toContain(way.batchNorm);
        expect(
          await expectSameLayer({ make, shape: sampled, seed, training: false, tolerance: 1e-4 }),
        ).toEqual([]);
      });
    },
  );

  it.each(WAYS)('batch norm of a single element, whose variance is 0, by $batchNorm', async way => {
    vi.stubEnv('MILLRACE_KERNELS', way.kernels);
    const make = () => layers.batchNormalization();
    expect(await expectSameLayer({ make, shape: [1, 4] })).toContain(way.batchNorm);
  });

  it.each(WAYS)(
    'layer norm over the last axis, and nothing else, by $layerNorm',
    async ({ kernels, layerNorm }) => {
      vi.stubEnv('MILLRACE_KERNELS', kernels);
      const cases = fc.record({
        shape: fc.array(size(5), { minLength: 2, maxLength: 4 }),
        epsilon: fc.constantFrom(1e-3, 1e-2),
        seed,
      });
      await forAll(cases, async ({ shape, epsilon, seed }) => {
        const make = () => layers.layerNormalization({ epsilon });
        const wide = [...shape.slice(0, -1), shape.at(-1)! + 2];
        expect(await expectSameLayer({ make, shape: wide, seed, tolerance: 1e-4 })).toEqual([layerNorm]);
      });
      for (const args of [{ axis: 1 }, { axis: [1, 2] }]) {
        const make = () => layers.layerNormalization(args);
        expect(await expectSameLayer({ make, shape: [3, 4, 5] })).toEqual([]);
      }
      vi.unstubAllEnvs();
    },
  );

  it('activations, also at 0 and at the ends of their ranges', async () => {
    const cases = fc.record({
      shape: fc.array(size(4), { minLength: 2, maxLength: 4 }),
      activation: activations,
      seed,
    });
    await forAll(cases, async ({ shape, activation, seed }) => {
      await expectSameLayer({ make: () => layers.activation({ activation }), shape, seed });
    });
    for (const activation of [...INLINE, ...AFTER]) {
      const input = tf.tensor2d([[-3, -2.5, -1, -0, 0, 1, 2.5, 6, 30, -30]]);
      const kernels = await expectSameLayer({
        make: () => layers.activation({ activation }),
        shape: [1, 10],
        input,
      });
      const isFused =
        activation !== 'linear' &&
        !(['selu', 'hardSigmoid', 'swish', 'gelu'] as string[]).includes(activation);
      expect(kernels.length).toBe(isFused ? 1 : 0);
    }
    for (const make of [
      () => layers.reLU(),
      () => layers.reLU({ maxValue: 1 }),
      () => layers.leakyReLU(),
      () => layers.leakyReLU({ alpha: 0.07 }),
      () => layers.softmax({ axis: -1 }),
      () => layers.softmax({ axis: 2 }),
    ]) {
      await expectSameLayer({ make, shape: [3, 4, 5] });
    }
  });

  it.each([
    ['globalAveragePooling1d', 3, 'MillraceGlobalAverage'],
    ['globalAveragePooling2d', 4, 'MillraceGlobalAverage'],
    ['globalMaxPooling1d', 3, 'MillraceGlobalMax'],
  ] as const)('%s, where several elements may be the largest', async (kind, rank, kernel) => {
    const cases = fc.record({ shape: fc.array(size(5), { minLength: rank, maxLength: rank }), seed });
    await forAll(cases, async ({ shape, seed }) => {
      const make = () => layers[kind]({ dataFormat: 'channelsLast' } as never) as tf.layers.Layer;
      const input = integers(shape, seed, -2, 3);
      expect(await expectSameLayer({ make, shape, input, seed })).toContain(kernel);
    });
  });

  it('maximum pooling, where several elements may be the largest', async () => {
    const cases = fc.record({
      kind: fc.constantFrom('maxPooling1d', 'maxPooling2d'),
      batch: size(4),
      sides: fc.tuple(size(9), size(9)),
      channels: size(20),
      poolSize: fc.tuple(size(4), size(4)),
      strides: fc.option(fc.tuple(size(4), size(4)), { nil: undefined }),
      padding: fc.constantFrom('valid', 'same') as fc.Arbitrary<'valid' | 'same'>,
      seed,
    });
    await forAll(cases, async ({ kind, batch, sides, channels, poolSize, strides, padding, seed }) => {
      const axes = kind === 'maxPooling1d' ? 1 : 2;
      // Without padding a window has to find its place.
      const lengths = sides
        .slice(0, axes)
        .map((side, axis) => side + (padding === 'valid' ? poolSize[axis]! : 0));
      const shape = [batch, ...lengths, channels];
      const args = { poolSize: poolSize.slice(0, axes), strides: strides?.slice(0, axes), padding };
      const make = () => layers[kind](args as never) as tf.layers.Layer;
      const input = integers(shape, seed, -2, 3);
      expect(await expectSameLayer({ make, shape, input, seed })).toContain('MillraceMaxPool');
    });
  });

  it('maximum pooling over images with their channels first falls back', async () => {
    const make = () => layers.maxPooling2d({ dataFormat: 'channelsFirst' });
    expect(await expectSameLayer({ make, shape: [2, 3, 4, 6] })).toEqual([]);
  });

  it('embedding, from float and int indices, with repeated ones', async () => {
    const cases = fc.record({
      shape: fc.array(size(5), { minLength: 2, maxLength: 3 }),
      inputDim: size(7),
      outputDim: size(5),
      dtype: fc.constantFrom('float32', 'int32') as fc.Arbitrary<'float32' | 'int32'>,
      seed,
    });
    await forAll(cases, async ({ shape, inputDim, outputDim, dtype, seed }) => {
      const make = () => layers.embedding({ inputDim, outputDim });
      const input = tf.cast(integers(shape, seed, 0, inputDim), dtype);
      expect(await expectSameLayer({ make, shape, input, seed, isInteger: true })).toContain(
        'MillraceEmbedding',
      );
    });
  });
});

const RECURRENT = [
  { backend: 'tensorflow', kind: 'simpleRNN', kernel: 'MillraceSimpleRnn' },
  ...(HAS_KERNELS ? [{ backend: 'tensorflow', kind: 'lstm', kernel: 'MillraceLstm' } as const] : []),
  { backend: 'tensorflow', kind: 'lstm', kernel: 'MillraceLstmOfOps' },
  ...(HAS_KERNELS ? [{ backend: 'tensorflow', kind: 'gru', kernel: 'MillraceGru' } as const] : []),
  { backend: 'tensorflow', kind: 'gru', kernel: 'MillraceGruOfOps' },
  { backend: 'wasm', kind: 'lstm', kernel: 'MillraceHeapLstm' },
  { backend: 'wasm', kind: 'gru', kernel: 'MillraceHeapGru' },
] as const;
const PRESENT = RECURRENT.filter(({ backend }) => backends().includes(backend));

describe.each(PRESENT)(
  'a lowered $kind on $backend, $kernel, computes what tfjs computes',
  ({ backend, kind, kernel }) => {
    beforeAll(async () => {
      await useBackend(backend);
      vi.stubEnv('MILLRACE_KERNELS', kernel.endsWith('OfOps') ? '0' : '');
    });
    afterAll(() => void vi.unstubAllEnvs());

    const settings = {
      units: size(9),
      useBias: fc.boolean(),
      returnSequences: fc.boolean(),
      goBackwards: fc.boolean(),
      recurrentActivation: fc.constantFrom('hardSigmoid', 'sigmoid'),
      activation: fc.constantFrom('tanh', 'relu', 'sigmoid', 'linear'),
    };

    // tfjs itself has no gradient for a single step.
    it('over lengths, gates, activations and directions', async () => {
      const cases = fc.record({
        shape: fc.tuple(size(4), fc.integer({ min: 2, max: 6 }), size(4)),
        seed,
        ...settings,
      });
      await forAll(cases, async ({ shape, seed, ...args }) => {
        const make = () => layers[kind](args as tf.SimpleRNNLayerArgs & tf.LSTMLayerArgs & tf.GRULayerArgs);
        expect(await expectSameLayer({ make, shape, seed, tolerance: 5e-5 })).toEqual([kernel]);
      });
    });

    it('inside wrappers', async () => {
      const make = (): tf.layers.Layer =>
        layers.bidirectional({
          layer: layers[kind]({ units: 3, returnSequences: true }) as tf.RNN,
          mergeMode: 'concat',
        });
      expect(await expectSameLayer({ make, shape: [2, 4, 3] })).toEqual([kernel]);
    });

    it('falls back for dropout, masks, states and unknown gates', async () => {
      for (const args of [{ dropout: 0.5 }, { recurrentDropout: 0.5 }]) {
        const make = () => layers[kind]({ units: 3, ...args });
        expect(await expectSameLayer({ make, shape: [2, 4, 3], training: false })).toEqual([kernel]);
      }
      const unknown: readonly Pick<tf.LSTMLayerArgs, 'activation' | 'recurrentActivation'>[] = [
        { activation: 'softsign' },
        ...(kind === 'simpleRNN' ? [] : [{ recurrentActivation: 'softsign' } as const]),
      ];
      for (const args of unknown) {
        const make = () => layers[kind]({ units: 3, ...args });
        expect(await expectSameLayer({ make, shape: [2, 4, 3] })).toEqual([]);
      }
    });
  },
);
