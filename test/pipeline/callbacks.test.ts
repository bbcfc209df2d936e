/** Callbacks of a pipelined fit see what those of a plain fit see: the same hooks, in the same order, with the same logs. */
import * as tf from '@tensorflow/tfjs';
import type { FitArgs, PipelineOptions } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BACKENDS,
  CLASSES,
  compile,
  compiledClassifier,
  expectSameWeights,
  FEATURES,
  initializer,
  isTraining,
  open,
  samples,
  weightsOf,
} from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const { x, y } = samples(20);
const validation = samples(7, 6);

/** One call of a hook: its name, its position, and what it was given. */
interface Call {
  readonly hook: string;
  readonly at: number | undefined;
  readonly logs: Record<string, number>;
}

/** A tf.Callback of plain fit gets its batch logs as scalars, objects of hooks get numbers, and so do all of ours. */
const copy = (logs: object | undefined): Record<string, number> =>
  Object.fromEntries(
    Object.entries(logs ?? {}).map(([key, value]) => [
      key,
      value instanceof tf.Tensor ? value.dataSync()[0]! : (value as number),
    ]),
  );

function recordingArgs(calls: Call[], name = ''): tf.CustomCallbackArgs {
  const positioned = (hook: string) => (at: number, logs?: tf.Logs) => {
    calls.push({ hook: name + hook, at, logs: copy(logs) });
  };
  return {
    onTrainBegin: logs => void calls.push({ hook: `${name}onTrainBegin`, at: undefined, logs: copy(logs) }),
    onTrainEnd: logs => void calls.push({ hook: `${name}onTrainEnd`, at: undefined, logs: copy(logs) }),
    onEpochBegin: positioned('onEpochBegin'),
    onEpochEnd: positioned('onEpochEnd'),
    onBatchBegin: positioned('onBatchBegin'),
    onBatchEnd: positioned('onBatchEnd'),
  };
}

class Recorder extends tf.Callback {
  readonly calls: Call[] = [];
  #record(hook: string, at: number | undefined, logs: object | undefined): void {
    this.calls.push({ hook, at, logs: copy(logs) });
  }
  override async onTrainBegin(logs?: tf.Logs): Promise<void> {
    this.#record('onTrainBegin', undefined, logs as object);
  }
  override async onTrainEnd(logs?: tf.Logs): Promise<void> {
    this.#record('onTrainEnd', undefined, logs as object);
  }
  override async onEpochBegin(epoch: number, logs?: tf.Logs): Promise<void> {
    this.#record('onEpochBegin', epoch, logs as object);
  }
  override async onEpochEnd(epoch: number, logs?: tf.Logs): Promise<void> {
    this.#record('onEpochEnd', epoch, logs as object);
  }
  override async onBatchBegin(batch: number, logs?: tf.Logs): Promise<void> {
    this.#record('onBatchBegin', batch, logs as object);
  }
  override async onBatchEnd(batch: number, logs?: tf.Logs): Promise<void> {
    this.#record('onBatchEnd', batch, logs as object);
  }
}

function expectSameCalls(actual: readonly Call[], expected: readonly Call[]): void {
  const outline = (calls: readonly Call[]) =>
    calls.map(({ hook, at, logs }) => `${hook}(${at ?? ''}) ${Object.keys(logs).join(',')}`);
  expect(outline(actual)).toEqual(outline(expected));
  for (const [index, { hook, logs }] of expected.entries()) {
    for (const [key, value] of Object.entries(logs)) {
      expect(actual[index]!.logs[key], `${hook} ${index}: ${key}`).toBeCloseTo(value, 5);
    }
  }
}

function expectSameHistory(actual: tf.History, expected: tf.History): void {
  expect(actual).toBeInstanceOf(tf.History);
  expect(actual.epoch).toEqual(expected.epoch);
  expect(Object.keys(actual.history)).toEqual(Object.keys(expected.history));
  for (const [key, values] of Object.entries(expected.history)) {
    expect(actual.history[key]).toHaveLength(values.length);
    for (const [epoch, value] of values.entries()) {
      expect(actual.history[key]![epoch], `${key} of epoch ${epoch}`).toBeCloseTo(value as number, 5);
    }
  }
}

type Pair = [xs: never, ys: never];

/** Trains the same model plainly and as a pipeline; `args` makes the arguments of each anew. */
async function both(
  args: (side: 'plain' | 'pipelined', model: tf.LayersModel) => FitArgs,
  { options = {}, make = compiledClassifier, data = [x, y] as unknown as Pair } = {} as {
    options?: PipelineOptions;
    make?: () => tf.LayersModel;
    data?: Pair;
  },
) {
  const common = { epochs: 2, batchSize: 8, shuffle: false };
  const plain = make();
  const plainHistory = await plain.fit(...data, {
    ...common,
    verbose: 0,
    ...(args('plain', plain) as tf.ModelFitArgs),
  });
  const model = make();
  const trainer = await open(model, options);
  const history = await trainer.fit(...data, { ...common, ...args('pipelined', model) });
  expectSameWeights(weightsOf(model), weightsOf(plain));
  expectSameHistory(history, plainHistory);
  return { plain, plainHistory, model, history, trainer };
}

describe('hooks and logs are those of plain fit', () => {
  it.each(BACKENDS)('for one object of hooks, on %s', async backend => {
    const calls = { plain: [] as Call[], pipelined: [] as Call[] };
    await both(side => ({ callbacks: recordingArgs(calls[side]) }), { options: { backend } });
    expectSameCalls(calls.pipelined, calls.plain);
    expect(calls.plain).toHaveLength(2 + 2 * (2 + 2 * 3));
  });

  it('for a list of objects, each hook in the order of the list', async () => {
    const calls = { plain: [] as Call[], pipelined: [] as Call[] };
    await both(side => ({ callbacks: ['a.', 'b.'].map(name => recordingArgs(calls[side], name)) }));
    expectSameCalls(calls.pipelined, calls.plain);
    expect(calls.plain.slice(0, 4).map(({ hook }) => hook)).toEqual([
      'a.onTrainBegin',
      'b.onTrainBegin',
      'a.onEpochBegin',
      'b.onEpochBegin',
    ]);
  });

  it('for subclasses of tf.Callback', async () => {
    const recorders = { plain: new Recorder(), pipelined: new Recorder() };
    await both(side => ({ callbacks: [recorders[side]] as never }));
    expectSameCalls(recorders.pipelined.calls, recorders.plain.calls);
  });

  it('for objects beside a tf.Callback, which plain fit cannot take', async () => {
    const recorder = new Recorder();
    const calls: Call[] = [];
    const trainer = await open(compiledClassifier());
    await trainer.fit(x, y, { batchSize: 8, callbacks: [recorder, recordingArgs(calls)] });
    expectSameCalls(calls, recorder.calls);
    expect(calls).toHaveLength(2 + 2 + 2 * 3);
  });

  it('with validationSplit: validation comes before the last onBatchEnd', async () => {
    const calls = { plain: [] as Call[], pipelined: [] as Call[] };
    await both(side => ({ validationSplit: 0.3, callbacks: recordingArgs(calls[side]) }));
    expectSameCalls(calls.pipelined, calls.plain);
    expect(
      calls.plain.filter(({ hook }) => hook === 'onEpochEnd').map(({ logs }) => Object.keys(logs)),
    ).toEqual([0, 1].map(() => ['val_loss', 'val_acc', 'loss', 'acc']));
  });

  it('with validationData', async () => {
    const calls = { plain: [] as Call[], pipelined: [] as Call[] };
    await both(side => ({
      validationData: [validation.x, validation.y],
      callbacks: recordingArgs(calls[side]),
    }));
    expectSameCalls(calls.pipelined, calls.plain);
  });

  it('with epoch hooks alone, while training runs ahead', async () => {
    const calls = { plain: [] as Call[], pipelined: [] as Call[] };
    await both(side => {
      const { onEpochBegin, onEpochEnd } = recordingArgs(calls[side]);
      return { callbacks: { onEpochBegin: onEpochBegin!, onEpochEnd: onEpochEnd! } };
    });
    expectSameCalls(calls.pipelined, calls.plain);
  });

  it('for two outputs with losses and metrics of their own', async () => {
    const make = (): tf.LayersModel => {
      const input = tf.input({ shape: [FEATURES] });
      const trunk = tf.layers.dense({ units: 5, activation: 'tanh', kernelInitializer: initializer(1) });
      const head = (name: string, units: number, seed: number) =>
        tf.layers.dense({ name, units, kernelInitializer: initializer(seed) });
      const hidden = trunk.apply(input) as tf.SymbolicTensor;
      const outputs = [head('a', CLASSES, 2), head('b', 1, 3)].map(
        layer => layer.apply(hidden) as tf.SymbolicTensor,
      );
      const model = tf.model({ inputs: input, outputs });
      compile(model, {
        optimizer: tf.train.sgd(0.05),
        loss: ['meanSquaredError', 'meanAbsoluteError'],
        metrics: { a: 'mse', b: 'mae' },
      });
      return model;
    };
    const calls = { plain: [] as Call[], pipelined: [] as Call[] };
    const targets = [y, tf.slice(x, [0, 0], [-1, 1])];
    await both(side => ({ callbacks: recordingArgs(calls[side]) }), {
      make,
      data: [x, targets] as unknown as Pair,
    });
    expectSameCalls(calls.pipelined, calls.plain);
    expect(Object.keys(calls.plain.at(-2)!.logs)).toHaveLength(5);
  });

  it('with initialEpoch', async () => {
    const calls = { plain: [] as Call[], pipelined: [] as Call[] };
    const { history } = await both(side => ({
      epochs: 4,
      initialEpoch: 2,
      callbacks: recordingArgs(calls[side]),
    }));
    expectSameCalls(calls.pipelined, calls.plain);
    expect(history.epoch).toEqual([2, 3]);
  });
});

describe('a callback is given', () => {
  it('the params of plain fit, and the wrapped model', async () => {
    class Introduced extends tf.Callback {
      given: object | undefined;
      owner: unknown;
      override setParams(params: object): void {
        this.given = { ...params };
      }
      override setModel(model: object): void {
        this.owner = model;
      }
    }
    const callbacks = { plain: new Introduced(), pipelined: new Introduced() };
    const { model } = await both(side => ({
      validationSplit: 0.2,
      verbose: 0,
      callbacks: [callbacks[side]] as never,
    }));
    expect(callbacks.pipelined.given).toEqual(callbacks.plain.given);
    expect(callbacks.pipelined.owner).toBe(model);
  });
});

describe('the model', () => {
  it('says that it is training only while it is, and has the history afterwards', async () => {
    const seen: boolean[] = [];
    const { model, history } = await both((side, owner) => ({
      callbacks: {
        onBatchEnd: () => void (side === 'pipelined' && seen.push(isTraining(owner))),
      },
    }));
    expect(seen).toEqual(Array.from({ length: 6 }, () => true));
    expect(isTraining(model)).toBe(false);
    expect((model as unknown as { history: tf.History }).history).toBe(history);
  });
});
