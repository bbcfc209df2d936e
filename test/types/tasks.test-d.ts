/** What TypeScript tells a user of `parallel()`: what a trial takes, and what a result has. */
import type * as tf from '@tensorflow/tfjs';
import { type ParallelOptions, parallel, type Trial, type TrialResult } from 'millrace';
import type { Observable } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

declare const model: tf.LayersModel;
declare const sequential: tf.Sequential;
declare const x: tf.Tensor2D;
declare const dataset: tf.data.Dataset<{ xs: tf.Tensor; ys: tf.Tensor }>;

describe('parallel()', () => {
  it('gives an Observable of results', () => {
    expectTypeOf(parallel([])).toEqualTypeOf<Observable<TrialResult>>();
  });

  it('takes trials from whatever gives them', () => {
    const trial: Trial = { model, data: { x, y: x } };
    parallel([trial]);
    parallel(new Set([trial]));
    parallel(
      (function* () {
        yield trial;
      })(),
    );
    parallel(async function* () {
      yield trial;
    });
    parallel([trial] as const);
    // @ts-expect-error: one trial is no list of trials
    parallel(trial);
  });

  it('has options that are all optional', () => {
    expectTypeOf<object>().toExtend<ParallelOptions>();
    expectTypeOf<ParallelOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>();
    // @ts-expect-error: no such option
    parallel([], { workers: 2 });
  });
});

describe('a trial', () => {
  it('takes a model or what makes one, on tensors, with the arguments of fit and of pipeline', () => {
    const trials: Trial[] = [
      { model: sequential, data: { x, y: x } },
      { model: () => sequential, data: () => ({ x: [x, x], y: { label: x } }), name: 'second' },
      {
        model: async () => model,
        data: async () => ({ x, y: x }),
        options: {
          epochs: 3,
          batchSize: 32,
          validationData: [x, x],
          callbacks: { onEpochEnd: () => {} },
          signal: new AbortController().signal,
          pipeline: { workers: 2, backend: 'cpu' },
        },
        dispose: () => {},
      },
    ];
    expectTypeOf(trials).toExtend<readonly Trial[]>();
  });

  it('takes a dataset with the arguments of fitDataset, which needs its epochs', () => {
    const trials: Trial[] = [
      { model, data: dataset, options: { epochs: 3, batchesPerEpoch: 2 } },
      {
        model,
        data: function* () {
          yield { xs: x, ys: x };
        },
        options: { epochs: 1 },
      },
    ];
    expectTypeOf(trials).toExtend<readonly Trial[]>();
    // @ts-expect-error: without epochs
    parallel([{ model, data: dataset }]);
  });

  it('refuses what does not exist', () => {
    // @ts-expect-error: no targets
    parallel([{ model, data: { x } }]);
    // @ts-expect-error: parallel() shows progress
    parallel([{ model, data: { x, y: x }, options: { verbose: 1 } }]);
    // @ts-expect-error: no such argument
    parallel([{ model, data: { x, y: x }, options: { epoch: 1 } }]);
    // @ts-expect-error: arguments of fit belong into `options`
    parallel([{ model, data: { x, y: x }, epochs: 1 }]);
  });
});

describe('a result', () => {
  it('is narrowed by its status, until none is left', () => {
    const result = {} as TrialResult;
    expectTypeOf(result.index).toBeNumber();
    expectTypeOf(result.name).toBeString();
    expectTypeOf(result.durationMs).toBeNumber();
    // @ts-expect-error: not every trial has completed
    result.history;
    switch (result.status) {
      case 'completed':
        expectTypeOf(result.history).toEqualTypeOf<tf.History>();
        expectTypeOf(result.model).toEqualTypeOf<tf.LayersModel>();
        break;
      case 'failed':
        expectTypeOf(result.error).toEqualTypeOf<Error>();
        expectTypeOf(result.model).toEqualTypeOf<tf.LayersModel | undefined>();
        break;
      case 'cancelled':
        expectTypeOf(result.model).toEqualTypeOf<tf.LayersModel | undefined>();
        break;
      default:
        expectTypeOf(result).toBeNever();
    }
  });
});
