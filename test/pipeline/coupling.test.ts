/** Layers and losses of the user's own that do not split over samples are found before training, by trying them. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, ModelError, type PipelineOptions } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import { probeCoupling, readGraph } from '#internal/model/index.js';
import {
  CLASSES,
  compile,
  expectSameWeights,
  FEATURES,
  initializer,
  open,
  refusal,
  samples,
  weightsOf,
} from './helpers.js';

type Loss = (yTrue: tf.Tensor, yPred: tf.Tensor) => tf.Tensor;
type LayerClass = new (config: object) => tf.layers.Layer;

const setup = fileURLToPath(new URL('./fixtures/coupled.mjs', import.meta.url));
// Required, not imported: the test runner would load a second copy, and functions are found by identity.
const own = createRequire(import.meta.url)(setup) as Record<string, unknown>;
const layerOf = (name: string) => new (own[name] as LayerClass)({ name: 'own' });
const lossOf = (name: string) => own[name] as Loss;

beforeAll(() => tf.setBackend('cpu'));

function modelWith(
  part: tf.layers.Layer | undefined,
  loss: string | Loss = 'meanSquaredError',
): tf.Sequential {
  const kernelInitializer = initializer(2);
  const model = tf.sequential({
    layers: [
      tf.layers.dense({
        units: 6,
        activation: 'tanh',
        inputShape: [FEATURES],
        kernelInitializer: initializer(1),
      }),
      ...(part === undefined ? [] : [part]),
      tf.layers.dense({ name: 'head', units: CLASSES, activation: 'softmax', kernelInitializer }),
    ],
  });
  compile(model, { loss, optimizer: tf.train.momentum(0.05, 0.9) });
  return model;
}

const probed = (model: tf.LayersModel) => {
  const before = weightsOf(model);
  const tensors = tf.memory().numTensors;
  const coupling = probeCoupling(readGraph(model));
  expect(tf.memory().numTensors).toBe(tensors);
  expectSameWeights(weightsOf(model), before);
  return coupling;
};

const NOTHING = { mixing: undefined, unrepeatable: undefined, moving: undefined, scalarLosses: [] };

describe('the probe', () => {
  it.each([
    ['a layer that centers the batch', layerOf('Center'), "layer 'own'"],
    ['a layer that centers it in training alone', layerOf('TrainingCenter'), "layer 'own'"],
    ['a layer that takes no part of the samples', layerOf('Picky'), "layer 'own'"],
  ])('finds %s', (_, layer, mixing) => {
    expect(probed(modelWith(layer))).toEqual({ ...NOTHING, mixing });
  });

  it('finds one inside a nested model', () => {
    const inner = tf.sequential({ name: 'inner', layers: [tf.layers.dense({ units: 6, inputShape: [6] })] });
    inner.add(layerOf('Center'));
    expect(probed(modelWith(inner))).toEqual({ ...NOTHING, mixing: "layer 'inner'" });
  });

  it.each([
    ['layers of tfjs alone', undefined],
    ['a layer of its own that treats every sample alike', layerOf('Double')],
    ['dropout and noise', tf.layers.gaussianNoise({ stddev: 1 })],
    ['batch normalization, which has rules of its own', tf.layers.batchNormalization({ name: 'own' })],
  ])('finds nothing in %s', (_, layer) => {
    expect(probed(modelWith(layer))).toEqual(NOTHING);
  });

  it('tells layers that draw random numbers of their own', () => {
    expect(probed(modelWith(layerOf('Noisy')))).toEqual({ ...NOTHING, unrepeatable: "layer 'own'" });
  });

  it.each([
    ['summed', { ...NOTHING, mixing: "the loss of output 'head'", scalarLosses: [0] }],
    ['scalarMean', { ...NOTHING, scalarLosses: [0] }],
    ['perSample', NOTHING],
    ['sparse', NOTHING],
  ] as const)('tries the loss %s', (name, expected) => {
    expect(probed(modelWith(undefined, lossOf(name)))).toEqual(expected);
  });

  it('knows what losses of tfjs do that come as functions', () => {
    const coupling = probed(modelWith(undefined, tf.losses.meanSquaredError as Loss));
    expect(coupling).toEqual({ ...NOTHING, scalarLosses: [0] });
  });
});

describe('a model whose samples are tied together', () => {
  const { x, y } = samples(24);
  const args = { epochs: 2, batchSize: 8, shuffle: false, verbose: 0 } as const;
  const auto: PipelineOptions = { backend: 'cpu', setup, microBatches: 'auto' };

  it.each([
    ['by a layer', () => modelWith(layerOf('Center')), "layer 'own'"],
    ['by the loss', () => modelWith(undefined, lossOf('summed')), "the loss of output 'head'"],
  ])('%s trains with whole mini-batches and a warning that says why', async (_, build, what) => {
    const trainer = await open(build(), auto);
    const warnings: string[] = [];
    trainer.events$.subscribe(
      event => event.kind === 'warning' && warnings.push(`${event.code} ${event.message}`),
    );
    expect(trainer.plan.microBatches).toBe(1);
    expect(warnings.join()).toMatch(new RegExp(`COUPLED_SAMPLES .*${what}`));
    await trainer.fit(x, y, args);
    const plain = build();
    await plain.fit(x, y, args);
    expectSameWeights(weightsOf(trainer.model), weightsOf(plain));
  });

  it('is refused micro-batches, by name', async () => {
    const error = await refusal(() => open(modelWith(layerOf('Center')), { ...auto, microBatches: 2 }));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({ path: 'microBatches' });
    expect(error.message).toMatch(/layer 'own' gives other numbers/);
  });

  it('by a loss that it is compiled with later is refused by a trainer that cuts mini-batches', async () => {
    const model = modelWith(undefined);
    const trainer = await open(model, { ...auto, microBatches: 2 });
    compile(model, { loss: lossOf('summed') });
    const error = await refusal(() => trainer.fit(x, y, args));
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/compiled again.*the loss of output 'head'.*2 parts/s);
    compile(model, { loss: 'meanSquaredError' });
    await trainer.fit(x, y, args);
  });
});

describe('a trainer whose plan was left open', () => {
  it('goes on with one worker when a loss that the model is compiled with later ties the samples together', async () => {
    const { x, y } = samples(22);
    const args = { epochs: 2, batchSize: 8, shuffle: false, verbose: 0 } as const;
    const plain = modelWith(undefined);
    const piped = modelWith(undefined);
    // Planned for mini-batches that are worth sharing out.
    const batchSize = 1_000_000;
    const left = { stages: 'auto', partition: 'auto', microBatches: 'auto', schedule: 'auto' } as const;
    const trainer = await open(piped, { backend: 'cpu', setup, workers: 2, batchSize, ...left });
    expect(trainer.plan.replicas).toBe(2);
    for (const model of [plain, piped]) compile(model, { loss: lossOf('summed') });
    await plain.fit(x, y, args);
    await trainer.fit(x, y, args);
    expect(trainer.plan).toMatchObject({ replicas: 1, microBatches: 1 });
    expectSameWeights(weightsOf(piped), weightsOf(plain));
  });
});

describe('a loss that is one number for all samples', () => {
  it('counts samples and classes as plain fit does, in any number of micro-batches', async () => {
    const { x, y } = samples(22);
    const classWeight = { 0: 0.3, 1: 2, 2: 1.1, 3: 0.7 };
    const args = { epochs: 2, batchSize: 8, shuffle: false, verbose: 0, classWeight } as const;
    for (const loss of [lossOf('scalarMean'), tf.losses.softmaxCrossEntropy as Loss]) {
      const plain = modelWith(undefined, loss);
      const expected = await plain.fit(x, y, args);
      const trainer = await open(modelWith(undefined, loss), { backend: 'cpu', setup, microBatches: 3 });
      const actual = await trainer.fit(x, y, args);
      expectSameWeights(weightsOf(trainer.model), weightsOf(plain));
      expect(actual.history['loss']![1]).toBeCloseTo(expected.history['loss']![1] as number, 5);
    }
  });
});

describe('a layer with random numbers of its own', () => {
  it('is refused recomputation, by name', async () => {
    const options: PipelineOptions = { backend: 'cpu', setup, recompute: 'always' };
    const error = await refusal(() => open(modelWith(layerOf('Noisy')), options));
    expect(error).toMatchObject({ path: 'recompute' });
    expect(error.message).toMatch(/layer 'own' draws random numbers of its own/);
  });
});
