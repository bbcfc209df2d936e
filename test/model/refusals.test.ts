/** What is no model to train, and what workers could not rebuild, is refused with words that help. */
import * as tf from '@tensorflow/tfjs';
import { ModelError } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  assertCompiled,
  assertGradientsReachWeights,
  compileSpec,
  cutModel,
  describeStages,
  functionLocator,
  readGraph,
} from '#internal/model/index.js';
import { useBackend } from '../helpers/backends.js';
import { mlp } from '../helpers/models.js';

const noSetup = functionLocator(new Map());

function expectModelError(call: () => unknown, message: RegExp): void {
  expect(call).toThrow(ModelError);
  expect(call).toThrow(message);
}

describe('refused', () => {
  beforeAll(() => useBackend('cpu'));

  it('is a GraphModel, which cannot be trained', () => {
    const model = new tf.GraphModel('model.json') as unknown as tf.LayersModel;
    expectModelError(() => readGraph(model), /GraphModel.*cannot be trained.*loadLayersModel/);
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [{}, 'Object'],
    ['model.json', 'String'],
  ])('is %s in place of a model', (value, name) => {
    expectModelError(
      () => readGraph(value as unknown as tf.LayersModel),
      new RegExp(`LayersModel.*got ${name}`),
    );
  });

  it('is a model that has not been built', () => {
    const model = tf.sequential({ name: 'vague' });
    expectModelError(() => readGraph(model), /'vague' has not been built.*inputShape/);
  });

  it('is a model whose output is its input', () => {
    const input = tf.input({ shape: [2] });
    expectModelError(() => readGraph(tf.model({ inputs: input, outputs: input })), /nothing to compute/);
  });

  it('is a model that is not compiled', () => {
    const model = tf.sequential({ name: 'raw', layers: [tf.layers.dense({ inputShape: [1], units: 2 })] });
    expectModelError(() => assertCompiled(model), /'raw' is not compiled.*model\.compile/);
  });

  it('is a loss or metric that workers cannot import, by the name of its output', () => {
    const model = mlp.build();
    const own = (_: tf.Tensor, output: tf.Tensor): tf.Tensor => tf.mean(output);
    model.compile({ optimizer: 'sgd', loss: own });
    expectModelError(() => compileSpec(model, noSetup), /loss of output 'dense_Dense\d+'.*`setup`/);
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError', metrics: [own] });
    expectModelError(() => compileSpec(model, noSetup), /metric of output 'dense_Dense\d+'.*`setup`/);
    const located = functionLocator(new Map([['file:///own.js', { own }]]));
    expect(compileSpec(model, located).metrics).toEqual([
      [{ ref: { module: 'file:///own.js', name: 'own' } }],
    ]);
  });

  it('is a layer whose class is not registered, by its name', () => {
    class Doubling extends tf.layers.Layer {
      static readonly className = 'UnregisteredDoubling';
      override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
        return tf.mul(Array.isArray(inputs) ? inputs[0]! : inputs, 2);
      }
    }
    const model = tf.sequential({
      layers: [tf.layers.dense({ inputShape: [1], units: 2 }), new Doubling({ name: 'twofold' })],
    });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    expectModelError(() => describeStages(cutModel(readGraph(model), [])), /'twofold'.*registerClass/);
  });
});

describe('a weight that no gradient can reach', () => {
  beforeAll(() => useBackend('cpu'));

  const { layers } = tf;
  const below = (): tf.layers.Layer => layers.dense({ inputShape: [3], units: 4, name: 'below' });
  const lookUp = (): tf.layers.Layer => layers.embedding({ inputDim: 5, outputDim: 2, name: 'table' });
  const check = (list: tf.layers.Layer[]): void => {
    const model = tf.sequential({ layers: list });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    assertGradientsReachWeights(readGraph(model));
  };

  it.each([
    ['an embedding', () => [below(), lookUp()]],
    ['a layer between', () => [below(), layers.reLU(), lookUp()]],
    [
      'a category encoding',
      () => [below(), layers.categoryEncoding({ numTokens: 5, outputMode: 'multiHot', name: 'table' })],
    ],
    [
      'a wrapper',
      () => [
        below(),
        layers.reshape({ targetShape: [2, 2] }),
        layers.timeDistributed({ layer: lookUp(), name: 'table' }),
      ],
    ],
    [
      'a nested model',
      () => [
        below(),
        tf.sequential({
          layers: [layers.embedding({ inputShape: [4], inputDim: 5, outputDim: 2, name: 'table' })],
        }),
      ],
    ],
  ])('is refused by its name and that of the layer in the way: %s', (_, list) => {
    expectModelError(() => check(list()), /'table'.*has no gradient.*layer 'below'/);
  });

  it('may be frozen, or stand beside or above', () => {
    const frozen = below();
    frozen.trainable = false;
    check([frozen, lookUp()]);
    check([layers.embedding({ inputShape: [3], inputDim: 5, outputDim: 2 }), layers.dense({ units: 2 })]);
    const tokens = tf.input({ shape: [3] });
    const sides = [layers.flatten().apply(lookUp().apply(tokens)), layers.dense({ units: 6 }).apply(tokens)];
    const output = layers.add().apply(sides as tf.SymbolicTensor[]) as tf.SymbolicTensor;
    const model = tf.model({ inputs: tokens, outputs: output });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    assertGradientsReachWeights(readGraph(model));
  });
});

describe('what was compiled', () => {
  beforeAll(() => useBackend('cpu'));

  it('becomes one loss and a list of metrics for every output, however it was written', () => {
    const input = tf.input({ shape: [2] });
    const one = tf.layers.dense({ units: 1, name: 'one' }).apply(input) as tf.SymbolicTensor;
    const two = tf.layers.dense({ units: 3, name: 'two' }).apply(input) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: [one, two] });
    const spec = (args: object) => {
      model.compile({ optimizer: 'sgd', ...args } as tf.ModelCompileArgs);
      const { losses, metrics } = compileSpec(model, noSetup);
      return { losses, metrics };
    };
    expect(spec({ loss: 'meanSquaredError', metrics: 'mae' })).toEqual({
      losses: ['meanSquaredError', 'meanSquaredError'],
      metrics: [['mae'], ['mae']],
    });
    const losses = ['meanSquaredError', 'categoricalCrossentropy'];
    expect(spec({ loss: losses, metrics: ['mae', 'mse'] })).toEqual({
      losses,
      metrics: [
        ['mae', 'mse'],
        ['mae', 'mse'],
      ],
    });
    const byName = { loss: { two: losses[1], one: losses[0] }, metrics: { two: ['accuracy'] } };
    expect(spec(byName)).toEqual({ losses, metrics: [[], ['accuracy']] });
  });

  it('names tfjs functions by where they are exported', () => {
    const model = mlp.build();
    model.compile({ optimizer: tf.train.adam(0.02), loss: tf.losses.softmaxCrossEntropy as never });
    const { losses, optimizer } = compileSpec(model, noSetup);
    expect(losses).toEqual([{ ref: { module: 'tf.losses', name: 'softmaxCrossEntropy' } }]);
    expect(optimizer).toMatchObject({ className: 'Adam', config: { learningRate: 0.02, beta1: 0.9 } });
  });
});
