/** What tells one model from another where the times of its layers are concerned: everything that takes time, no names. */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it, vi } from 'vitest';
import { readGraph } from '#internal/model/index.js';
import type { CompileSpec } from '#internal/protocol/stage-spec.js';
import { compileFacts, modelFacts, RememberedProfiles } from '#internal/scheduler/driver/profile-store.js';

interface Shape {
  readonly inputs?: number;
  readonly units?: number;
  readonly activation?: 'relu' | 'tanh';
  readonly useBias?: boolean;
  readonly trainable?: boolean;
  readonly depth?: number;
  readonly name?: string;
}

/** With a model inside, so that names stand in its config too. */
function build({
  inputs = 6,
  units = 4,
  activation = 'relu',
  useBias = true,
  trainable = true,
  depth = 1,
  name,
}: Shape) {
  const inner = tf.sequential({
    layers: [
      tf.layers.dense({ units, activation, useBias, inputShape: [inputs] }),
      ...Array.from({ length: depth }, () => tf.layers.dense({ units: 4 })),
    ],
  });
  const input = tf.input({ shape: [inputs] });
  const hidden = inner.apply(input) as tf.SymbolicTensor;
  const skip = tf.layers.dense({ units: 4, ...(name === undefined ? {} : { name }) });
  const sum = tf.layers.add().apply([hidden, skip.apply(input) as tf.SymbolicTensor]) as tf.SymbolicTensor;
  skip.trainable = trainable;
  const model = tf.model({ inputs: input, outputs: sum });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  return model;
}

const factsOf = (shape: Shape = {}): string => JSON.stringify(modelFacts(readGraph(build(shape))));

describe('two models', () => {
  it('are the same if only the names of their layers differ, chosen or numbered by tfjs', () => {
    expect(factsOf()).toBe(factsOf());
    expect(factsOf({ name: 'a' })).toBe(factsOf({ name: 'b' }));
    // Also where a name is a word that means something elsewhere.
    expect(factsOf({ name: 'relu' })).toBe(factsOf());
  });

  it.each<[string, Shape]>([
    ['widths', { units: 5 }],
    ['inputs', { inputs: 7 }],
    ['activations', { activation: 'tanh' }],
    ['biases', { useBias: false }],
    ['frozen layers', { trainable: false }],
    ['numbers of layers', { depth: 2 }],
  ])('differ by their %s', (_, shape) => {
    expect(factsOf(shape)).not.toBe(factsOf());
  });
});

describe('two models that are compiled alike but for', () => {
  const compiledWith = (changed: Partial<CompileSpec>): string =>
    JSON.stringify(
      compileFacts({
        optimizer: { className: 'SGD', config: {} },
        losses: ['meanSquaredError'],
        lossWeights: [1],
        metrics: [['accuracy']],
        outputs: [{ name: 'out', shape: [null, 2] }],
        ...changed,
      }),
    );

  it.each<[string, Partial<CompileSpec>]>([
    ['their losses', { losses: ['categoricalCrossentropy'] }],
    ['a loss of their own', { losses: [{ ref: { module: 'tf.losses', name: 'huberLoss' } }] }],
    ['their metrics', { metrics: [[]] }],
  ])('%s differ', (_, changed) => {
    expect(compiledWith(changed)).not.toBe(compiledWith({}));
  });

  it('what a loss counts take the same time', () => {
    expect(compiledWith({ lossWeights: [2] })).toBe(compiledWith({}));
  });
});

describe('two optimizers', () => {
  const facts = (className: string, config: Record<string, number | boolean>): string =>
    JSON.stringify(
      compileFacts({
        optimizer: { className, config },
        losses: [],
        lossWeights: [],
        metrics: [],
        outputs: [],
      }),
    );

  it('differ by class and flags, and not by rates', () => {
    expect(facts('Momentum', { learningRate: 1, useNesterov: true })).toBe(
      facts('Momentum', { learningRate: 2, useNesterov: true }),
    );
    expect(facts('Momentum', { useNesterov: true })).not.toBe(facts('Momentum', { useNesterov: false }));
    expect(facts('SGD', {})).not.toBe(facts('Adam', {}));
  });
});

describe('a trainer', () => {
  const facts = {
    model: 'm',
    inputShapes: [],
    compile: 'o',
    backend: 'cpu',
    backendVersion: '1',
    workers: 1,
  };

  it('remembers what it has measured or read, without any other store too', async () => {
    const alone = new RememberedProfiles();
    expect(await alone.read(facts)).toBeUndefined();
    await alone.write(facts, []);
    expect(await alone.read({ ...facts })).toEqual([]);
    expect(await alone.read({ ...facts, workers: 2 })).toBeUndefined();

    const read = vi.fn(async () => []);
    const behind = new RememberedProfiles({ read, write: async () => {} });
    await behind.read(facts);
    await behind.read(facts);
    expect(read).toHaveBeenCalledTimes(1);
  });
});
