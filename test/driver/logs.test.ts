import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CompileSpec } from '#internal/protocol/stage-spec.js';
import { logNames, logValues, namedLogs } from '#internal/scheduler/driver/logs.js';

/** What was compiled, for outputs with these metrics. */
function compiledFor(metrics: readonly (readonly string[])[]): CompileSpec {
  return {
    optimizer: { className: 'SGD', config: {} },
    losses: metrics.map(() => 'meanSquaredError'),
    lossWeights: metrics.map(() => 1),
    metrics,
    outputs: metrics.map((_, index) => ({ name: `output${index}`, shape: [null, 1] })),
  };
}

function modelWith(outputCount: number, metrics: string[]): tf.LayersModel {
  const input = tf.input({ shape: [2] });
  const outputs = ['left', 'right']
    .slice(0, outputCount)
    .map(name => tf.layers.dense({ name, units: 1 }).apply(input) as tf.SymbolicTensor);
  const model = tf.model({ inputs: input, outputs });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError', metrics });
  return model;
}

describe('the values of the logs', () => {
  it('are the loss alone for one output without metrics', () => {
    expect(logValues(compiledFor([[]]), [12, 0], 4)).toEqual([3]);
  });

  it('are loss and metrics divided by the rows for one output', () => {
    expect(logValues(compiledFor([['mse', 'mae']]), [12, 8, 2, 0], 4)).toEqual([3, 2, 0.5]);
  });

  it('add the penalty to the loss as it stands, however many rows there are', () => {
    expect(logValues(compiledFor([['mse']]), [12, 8, 0.25], 4)).toEqual([3.25, 2]);
    expect(logValues(compiledFor([['mse']]), [24, 16, 0.25], 8)).toEqual([3.25, 2]);
  });

  it('are the total, the loss of each output and all metrics for several outputs', () => {
    const compile = compiledFor([['mse'], ['mae', 'mse']]);
    expect(logValues(compile, [12, 20, 8, 4, 2, 0.5], 4)).toEqual([8.5, 3, 5, 2, 1, 0.5]);
  });

  it('are read from any array of numbers, and nothing beyond the penalty is', () => {
    expect(logValues(compiledFor([[], []]), Float64Array.of(2, 4, 1, 99, 99), 2)).toEqual([4, 1, 2]);
  });
});

describe('the names of the logs', () => {
  beforeAll(async () => {
    tf.enableProdMode();
    await tf.setBackend('cpu');
  });

  it.each([
    { outputCount: 1, metrics: [], names: ['loss'] },
    { outputCount: 1, metrics: ['mse', 'mae'], names: ['loss', 'mse', 'mae'] },
    { outputCount: 2, metrics: [], names: ['loss', 'left_loss', 'right_loss'] },
    {
      outputCount: 2,
      metrics: ['mse'],
      names: ['loss', 'left_loss', 'right_loss', 'left_mse', 'right_mse'],
    },
  ])('are $names, one for each value', ({ outputCount, metrics, names }) => {
    const model = modelWith(outputCount, metrics);
    expect(logNames(model)).toEqual(names);
    const compile = compiledFor(Array.from({ length: outputCount }, () => metrics));
    const sums = new Float64Array(outputCount + outputCount * metrics.length + 1);
    expect(logValues(compile, sums, 1)).toHaveLength(names.length);
    model.dispose();
  });

  it('of a sequential model are those of the model inside it', () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2] })] });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError', metrics: ['mae'] });
    expect(logNames(model)).toEqual(['loss', 'mae']);
    model.dispose();
  });

  it('go with the values, place by place', () => {
    expect(namedLogs(['loss', 'acc'], [0.5, 0.75])).toEqual({ loss: 0.5, acc: 0.75 });
    expect(Object.keys(namedLogs(['loss', 'b', 'a'], [1, 2, 3]))).toEqual(['loss', 'b', 'a']);
  });
});
