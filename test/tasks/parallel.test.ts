/** Real trainings side by side: the numbers are those of plain `fit`, and what befalls one befalls no other. */
import * as tf from '@tensorflow/tfjs';
import {
  type CompletedTrial,
  ConfigurationError,
  ModelError,
  type ParallelOptions,
  parallel,
  StageError,
  type Trial,
  type TrialResult,
  type Trials,
} from 'millrace';
import { lastValueFrom, type Observable, Subject, take, toArray } from 'rxjs';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { WorkerThread } from '#internal/scheduler/driver/worker-thread.js';
import { sabotaged, saboteurModule, withSentinel } from '../driver/helpers.js';
import {
  CLASSES,
  compiledClassifier,
  expectSameWeights,
  FEATURES,
  initializer,
  newClassifier,
  samples,
  weightsOf,
} from '../pipeline/helpers.js';

beforeAll(() => tf.setBackend('cpu'));
afterEach(() => vi.restoreAllMocks());

const CPU: ParallelOptions = { cores: 2, pipeline: { backend: 'cpu', seed: 1 } };
const { x, y } = samples(32);
const ARGS = { batchSize: 8, epochs: 2, shuffle: false } as const;

const run = (trials: Trials, options: ParallelOptions = {}): Promise<TrialResult[]> =>
  lastValueFrom(parallel(trials, { ...CPU, ...options }).pipe(toArray()), { defaultValue: [] });

const byIndex = (results: readonly TrialResult[]): TrialResult[] =>
  [...results].sort((a, b) => a.index - b.index);

/** A classifier of its own width, so that trials differ. */
function sized(units: number, optimizer: tf.Optimizer | string = tf.train.momentum(0.1, 0.9)): tf.Sequential {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({
        units,
        inputShape: [FEATURES],
        activation: 'tanh',
        kernelInitializer: initializer(1),
      }),
      tf.layers.dense({ units: CLASSES, activation: 'softmax', kernelInitializer: initializer(2) }),
    ],
  });
  model.compile({ optimizer, loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

/** With an optimizer that goes with its model. */
const disposable = (): tf.Sequential => sized(4, 'sgd');

async function expectSameAsPlain(
  result: TrialResult | undefined,
  twin: tf.LayersModel,
  args: tf.ModelFitArgs = { ...ARGS },
): Promise<void> {
  expect(result?.status).toBe('completed');
  const { history, model } = result as CompletedTrial;
  const plain = await twin.fit(x, y, { ...args, verbose: 0 });
  expectSameWeights(weightsOf(model), weightsOf(twin));
  expect(Object.keys(history.history)).toEqual(Object.keys(plain.history));
  for (const [name, values] of Object.entries(plain.history)) {
    for (const [epoch, value] of values.entries()) {
      expect(history.history[name]![epoch], `${name} of epoch ${epoch}`).toBeCloseTo(value as number, 5);
    }
  }
}

/** Every thread that is started meanwhile, by a count. */
function countThreads(): { readonly started: number } {
  const join = vi.spyOn(WorkerThread.prototype, 'join');
  return {
    get started() {
      return new Set(join.mock.contexts).size;
    },
  };
}

describe('trials', () => {
  it('train as plain fit does, each to its own weights and history', async () => {
    const widths = [4, 5, 6, 7, 8];
    const results = await run(
      widths.map(
        (units): Trial => ({ name: `${units} units`, model: sized(units), data: { x, y }, options: ARGS }),
      ),
    );
    expect(byIndex(results).map(({ name }) => name)).toEqual(widths.map(units => `${units} units`));
    for (const [index, units] of widths.entries()) {
      await expectSameAsPlain(byIndex(results)[index], sized(units));
      expect(byIndex(results)[index]!.durationMs).toBeGreaterThan(0);
    }
  });

  it('may be made by functions and generators, on tensors, datasets and generator functions, with validation', async () => {
    function* batches(): Generator<{ xs: tf.Tensor; ys: tf.Tensor }> {
      for (let row = 0; row < 32; row += 8) yield { xs: tf.slice(x, row, 8), ys: tf.slice(y, row, 8) };
    }
    const validated = { ...ARGS, validationData: [x, y] as [tf.Tensor, tf.Tensor] };
    const seen = vi.fn();
    async function* trials(): AsyncGenerator<Trial> {
      yield { model: () => sized(4), data: () => ({ x, y }), options: validated };
      yield {
        model: async () => sized(5),
        data: tf.data.generator(batches) as tf.data.Dataset<{ xs: tf.Tensor; ys: tf.Tensor }>,
        options: { epochs: 2, callbacks: { onEpochEnd: seen } },
      };
      yield { model: () => sized(6), data: batches, options: { epochs: 2 } };
    }
    const results = byIndex(await run(trials));
    await expectSameAsPlain(results[0], sized(4), validated);
    await expectSameAsPlain(results[1], sized(5));
    await expectSameAsPlain(results[2], sized(6));
    expect(results.map(({ name }) => name)).toEqual(['trial 0', 'trial 1', 'trial 2']);
    expect(seen).toHaveBeenCalledTimes(2);
  });

  it('of several workers train as plain fit does too, beside others', async () => {
    const wide: Trial = {
      model: compiledClassifier(),
      data: { x, y },
      options: { ...ARGS, pipeline: { workers: 2, stages: 2, microBatches: 4, partition: 'uniform' } },
    };
    const narrow: Trial = { model: sized(4), data: { x, y }, options: ARGS };
    const results = byIndex(await run([narrow, wide, { ...narrow, model: sized(5) }]));
    await expectSameAsPlain(results[0], sized(4));
    await expectSameAsPlain(results[1], compiledClassifier());
    await expectSameAsPlain(results[2], sized(5));
  });

  it('share their threads, whatever their seeds, and leave no tensors', async () => {
    const threads = countThreads();
    const before = tf.memory().numTensors;
    const results = await run(
      [1, 2, 3, 4, 5, 6].map(
        (seed): Trial => ({
          model: disposable,
          data: { x, y },
          options: { ...ARGS, pipeline: { seed, batchNorm: seed % 2 === 0 ? 'deferred' : 'exact' } },
        }),
      ),
    );
    expect(results.map(({ status }) => status)).toEqual(Array(6).fill('completed'));
    expect(threads.started).toBe(2);
    for (const { model } of results) model!.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('run anew for every subscription', async () => {
    const made = vi.fn(() => sized(4));
    const results$ = parallel([{ model: made, data: { x, y }, options: ARGS }], CPU);
    expect(made).not.toHaveBeenCalled();
    const [first] = await lastValueFrom(results$.pipe(toArray()));
    const [second] = await lastValueFrom(results$.pipe(toArray()));
    expect(made).toHaveBeenCalledTimes(2);
    expect(weightsOf(first!.model!)).toEqual(weightsOf(second!.model!));
  });
});

describe('a trial that fails', () => {
  /** Between two good ones, whose numbers must be right. */
  async function among(trial: Trial, options: ParallelOptions = {}): Promise<TrialResult> {
    const good = (units: number): Trial => ({ model: sized(units), data: { x, y }, options: ARGS });
    const results = byIndex(await run([good(4), trial, good(5), good(6)], options));
    for (const [index, units] of [
      [0, 4],
      [2, 5],
      [3, 6],
    ] as const) {
      await expectSameAsPlain(results[index], sized(units));
    }
    expect(results[1]!.status).toBe('failed');
    return results[1]!;
  }

  const poisoned = { x: withSentinel(x, 20), y };
  const pipeline = { setup: saboteurModule };

  it.each(['exit', 'throw later'] as const)('as its worker dies (%s) harms no other', async deed => {
    // Weights are read after every batch, so the worker turns its event loop, where "later" happens, before the end.
    const options = { ...ARGS, callbacks: { onBatchEnd: () => {} }, pipeline };
    const result = await among({ model: sabotaged(deed), data: poisoned, options });
    expect(result).toMatchObject({ error: expect.any(StageError), model: expect.any(tf.Sequential) });
  });

  it('as a layer throws leaves its model with weights that belong together', async () => {
    const model = sabotaged('throw');
    const result = await among({ model, data: poisoned, options: { ...ARGS, pipeline } });
    expect(result).toMatchObject({ error: { name: 'StageError', layer: 'saboteur', step: 2 }, model });
  });

  it('as a layer hangs gives its core back', async () => {
    const options = { ...ARGS, pipeline: { ...pipeline, stallTimeoutMs: 400 } };
    const result = await among({ model: sabotaged('hang'), data: poisoned, options }, { cores: 1 });
    expect(result).toMatchObject({ error: { cause: { name: 'StallError' } } });
  });

  it.each<[string, Trial, object]>([
    [
      'a model that is not compiled',
      { model: newClassifier(), data: { x, y } },
      { error: expect.any(ModelError) },
    ],
    [
      'a model that cannot be made',
      {
        model: () => {
          throw new RangeError('no such model');
        },
        data: { x, y },
      },
      { error: { message: 'no such model' }, model: undefined },
    ],
    [
      'a function that makes no model',
      { model: (() => undefined) as unknown as () => tf.Sequential, data: { x, y } },
      { error: expect.any(Error) },
    ],
    [
      'data of the wrong shape',
      { model: sized(4), data: { x: tf.zeros([4, FEATURES + 1]), y: tf.zeros([4, CLASSES]) } },
      { error: expect.any(ConfigurationError) },
    ],
    [
      'data that cannot be made',
      { model: sized(4), data: (): Promise<never> => Promise.reject(new Error('no such file')) },
      { error: { message: 'no such file' } },
    ],
    [
      'a dataset without epochs',
      { model: sized(4), data: [{ xs: x, ys: y }] } as unknown as Trial,
      { error: { path: 'epochs' } },
    ],
    [
      'more workers than cores',
      { model: sized(4), data: { x, y }, options: { pipeline: { workers: 3 } } },
      { error: { name: 'ConfigurationError', path: 'workers' }, durationMs: 0 },
    ],
  ])('because of %s says why', async (_, trial, expected) => {
    expect(await among(trial)).toMatchObject(expected);
  });
});

/** Trials that never end by themselves, and say when they have begun to train. */
function endless() {
  const begun$ = new Subject<string>();
  const trial = (name: string, more: Partial<Trial['options']> = {}): Trial =>
    ({
      name,
      model: disposable,
      data: { x, y },
      options: {
        ...ARGS,
        epochs: 1e6,
        callbacks: { onEpochEnd: epoch => epoch === 0 && begun$.next(name) },
        ...more,
      } as Trial['options'] & object,
    }) as Trial;
  return { begun$, trial };
}

describe('cancelling', () => {
  it('by the signal of parallel() ends all that runs, tells it, and completes', async () => {
    const { begun$, trial } = endless();
    const abort = new AbortController();
    begun$.pipe(take(2)).subscribe({ complete: () => abort.abort() });
    const results = await run(
      ['a', 'b', 'c'].map(name => trial(name)),
      { signal: abort.signal },
    );
    expect(results.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
    for (const { model } of results) expect(model).toBeInstanceOf(tf.Sequential);
  });

  it('by the signal of a trial ends that one alone, and its thread is used again', async () => {
    const { begun$, trial } = endless();
    const abort = new AbortController();
    begun$.subscribe(() => abort.abort());
    const threads = countThreads();
    const good: Trial = { model: sized(5), data: { x, y }, options: ARGS };
    const results = await run([trial('endless', { signal: abort.signal }), good], { cores: 1 });
    expect(results.map(({ status }) => status)).toEqual(['cancelled', 'completed']);
    await expectSameAsPlain(results[1], sized(5));
    expect(threads.started).toBe(1);
  });

  it('while workers are started begins no training', async () => {
    const abort = new AbortController();
    const { join } = WorkerThread.prototype;
    vi.spyOn(WorkerThread.prototype, 'join').mockImplementation(function (this: WorkerThread, ...args) {
      queueMicrotask(() => abort.abort());
      return join.apply(this, args);
    });
    const seen = vi.fn();
    const options = { ...ARGS, callbacks: { onTrainBegin: seen } };
    const trials = [4, 5].map((units): Trial => ({ model: sized(units), data: { x, y }, options }));
    const results = await run(trials, { signal: abort.signal });
    expect(results.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
    expect(seen).not.toHaveBeenCalled();
  });

  it('by unsubscribing takes no more trials, and disposes models that functions have made and nobody gets', async () => {
    const { begun$, trial } = endless();
    const taken = vi.fn();
    const before = tf.memory().numTensors;
    const disposed = new Subject<void>();
    function* trials(): Generator<Trial> {
      for (const name of ['a', 'b', 'c']) {
        taken(name);
        yield { ...trial(name), dispose: () => disposed.next() };
      }
    }
    const bothOver = lastValueFrom(disposed.pipe(take(2), toArray()));
    const subscription = parallel(trials(), CPU).subscribe();
    begun$.pipe(take(2)).subscribe({ complete: () => subscription.unsubscribe() });
    await bothOver;
    expect(taken.mock.calls).toEqual([['a'], ['b']]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('by taking only the first result does so too', async () => {
    const taken = vi.fn();
    function* trials(): Generator<Trial> {
      for (let index = 0; ; index++) {
        taken(index);
        yield { model: sized(4), data: { x, y }, options: ARGS };
      }
    }
    const first$: Observable<TrialResult> = parallel(trials(), { ...CPU, cores: 1 }).pipe(take(1));
    expect((await lastValueFrom(first$)).status).toBe('completed');
    expect(taken.mock.calls).toEqual([[0]]);
  });
});

describe('parallel()', () => {
  it.each<[string, ParallelOptions, RegExp]>([
    ['core', { core: 2 } as ParallelOptions, /Unknown option 'core'.*cores, signal, verbose, pipeline/],
    ['cores', { cores: 0 }, /whole number of at least 1, but got 0/],
    ['signal', { signal: 1 as unknown as AbortSignal }, /AbortSignal/],
    ['verbose', { verbose: 3 as 2 }, /0 or 1 or 2/],
    ['workers', { pipeline: { workers: -1 } }, /'workers' takes/],
  ])("refuses a bad '%s' at once", (path, options, message) => {
    expect(() => parallel([], options)).toThrow(
      expect.objectContaining({ path, message: expect.stringMatching(message) }),
    );
  });

  it('refuses what gives no trials at once', () => {
    expect(() => parallel({} as Trials)).toThrow(/an array, an iterable, an async iterable or a generator/);
  });

  it('completes for no trials', async () => {
    expect(await run([])).toEqual([]);
  });
});
