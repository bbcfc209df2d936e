/** Layers of the user's own that keep a state, hold other layers or fail: same numbers as plain fit, or a clear place. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { ModelError, type PipelineOptions, StageError } from 'millrace';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  BACKENDS,
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

const setup = fileURLToPath(new URL('./fixtures/stateful.mjs', import.meta.url));
// Required, not imported: the test runner would load a second copy, and functions are found by identity.
const own = createRequire(import.meta.url)(setup) as Record<
  string,
  new (
    config: object,
  ) => tf.layers.Layer
> & {
  throwingMetric: () => tf.Tensor;
};

beforeAll(() => tf.setBackend('cpu'));
afterEach(() => {
  delete process.env['MILLRACE_POISON_SLOTS'];
});

function modelWith(layer: string, config: object = {}): tf.Sequential {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 6, inputShape: [FEATURES], kernelInitializer: initializer(1) }),
      new own[layer]!({ name: 'own', ...config }),
      tf.layers.dense({ name: 'head', units: CLASSES, kernelInitializer: initializer(2) }),
    ],
  });
  compile(model, { loss: 'meanSquaredError', optimizer: tf.train.momentum(0.02, 0.9) });
  return model;
}

const { x, y } = samples(24);
const args = { epochs: 2, batchSize: 8, shuffle: false, verbose: 0 } as const;

async function expectPlainWeights(layer: string, options: PipelineOptions): Promise<void> {
  const plain = modelWith(layer);
  await plain.fit(x, y, args);
  const trainer = await open(modelWith(layer), { setup, ...options });
  await trainer.fit(x, y, args);
  expectSameWeights(weightsOf(trainer.model), weightsOf(plain));
}

describe('a layer whose forward pass reads a state and then changes it', () => {
  it.each(['never', 'always'] as const)('trains to plain weights with recompute %s', async recompute => {
    await expectPlainWeights('RunningScale', { backend: 'cpu', microBatches: 1, recompute });
  });
});

describe('a layer that keeps a view of its input', () => {
  it.each(BACKENDS)('reads no slot that was released, on %s', async backend => {
    process.env['MILLRACE_POISON_SLOTS'] = '1';
    await expectPlainWeights('Memory', {
      backend,
      microBatches: 1,
      stages: 'auto',
      partition: ['own', 'head'],
    });
  });
});

describe('a layer that holds a batch normalization of its own', () => {
  it('gets whole mini-batches, whatever its properties are called', async () => {
    const trainer = await open(modelWith('Block'), { setup, backend: 'cpu', microBatches: 'auto' });
    expect(trainer.plan.microBatches).toBe(1);
    await expectPlainWeights('Block', { backend: 'cpu', microBatches: 'auto' });
  });
});

describe('a gradient that throws', () => {
  it('is reported with its layer, and leaves no tensor in the workers', async () => {
    const trainer = await open(modelWith('BadGradient'), { setup, backend: 'cpu', microBatches: 2 });
    await trainer.fit(x, y, args);
    const before = await trainer.memory();
    const data = Float32Array.from(x.dataSync());
    trainer.model.layers[0]!.setWeights([tf.ones([FEATURES, 6]), tf.zeros([6])]);
    data[20 * FEATURES] = 1e6;
    const poisoned = tf.tensor(data, x.shape);
    for (const _ of [1, 2]) {
      const error = await refusal(() => trainer.fit(poisoned, y, args));
      expect(error).toBeInstanceOf(StageError);
      expect(error).toMatchObject({ layer: 'own', step: expect.any(Number), cause: { name: 'RangeError' } });
      expect(error.message).toMatch(/layer 'own'.*no gradient today/);
    }
    expect(await trainer.memory()).toEqual(before);
  });
});

describe('a metric that throws', () => {
  it.each([1, 2])('is reported with stage and step, with %i micro-batches', async microBatches => {
    const model = modelWith('RunningScale');
    compile(model, { loss: 'meanSquaredError', metrics: [own.throwingMetric] });
    const trainer = await open(model, { setup, backend: 'cpu', microBatches });
    const error = await refusal(() => trainer.fit(x, y, args));
    expect(error).toMatchObject({ stage: 1, step: expect.any(Number), cause: { message: 'no score today' } });
  });
});

describe('a layer that forgets what its constructor was given', () => {
  it('is refused with both shapes', async () => {
    const error = await refusal(() => open(modelWith('Forgetful', { rows: 3 }), { setup, backend: 'cpu' }));
    expect(error.message).toMatch(/Layer 'own'.*float32 \[1, 2\].*float32 \[3, 2\].*getConfig/s);
    expect([ModelError.name, 'StageError']).toContain(error.name);
  });
});

describe('recurrent layers', () => {
  it('leave nothing in the workers when they are measured, rebuilt and trained again', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.reshape({ targetShape: [2, FEATURES / 2], batchInputShape: [8, FEATURES] }),
        tf.layers.lstm({
          units: 3,
          stateful: true,
          dropout: 0.2,
          recurrentDropout: 0.2,
          recurrentInitializer: 'glorotUniform',
        }),
        tf.layers.dense({ units: CLASSES }),
      ],
    });
    const again = () => compile(model, { loss: 'meanSquaredError' });
    again();
    const trainer = await open(model, { backend: 'cpu', microBatches: 1, partition: 'auto' });
    const counts: unknown[] = [];
    for (const _ of [1, 2, 3]) {
      await trainer.fit(x, y, args);
      again();
      counts.push((await trainer.memory()).map(({ tensorCount }) => tensorCount));
    }
    expect(counts[2]).toEqual(counts[1]);
  });

  it('may be cut where their states cross with the mask of the sequence', async () => {
    const build = () => {
      const input = tf.input({ shape: [40] });
      const embedded = tf.layers.embedding({ inputDim: 5, outputDim: 4, maskZero: true }).apply(input);
      const states = tf.layers
        .lstm({ units: 3, returnSequences: true, returnState: true, recurrentInitializer: 'glorotUniform' })
        .apply(embedded) as tf.SymbolicTensor[];
      const both = tf.layers.concatenate({ name: 'both' }).apply(states.slice(1));
      const model = tf.model({
        inputs: input,
        outputs: tf.layers.dense({ units: CLASSES }).apply(both) as tf.SymbolicTensor,
      });
      compile(model, { loss: 'meanSquaredError' });
      return model;
    };
    const tokens = tf.tensor2d(
      Array.from({ length: 24 * 40 }, (_, index) => (index * 7) % 5),
      [24, 40],
      'int32',
    );
    const plain = build();
    const piped = build();
    piped.setWeights(plain.getWeights());
    await plain.fit(tokens, y, args);
    const trainer = await open(piped, {
      backend: 'cpu',
      stages: 'auto',
      partition: ['both'],
      microBatches: 2,
    });
    await trainer.fit(tokens, y, args);
    expectSameWeights(weightsOf(piped), weightsOf(plain));
  });
});
