/** Stopping from outside: an AbortSignal, unsubscribing from `fit$`, or `close` while fit runs. */
import { getEventListeners } from 'node:events';
import * as tf from '@tensorflow/tfjs';
import { StateError, type TrainerEvent, TrainingAbortedError } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BACKENDS,
  compile,
  compiledClassifier,
  expectSameWeights,
  isTraining,
  open,
  refusal,
  samples,
  weightsOf,
} from '../pipeline/helpers.js';
import { recordEvents, sabotaged, saboteurModule, timeOf, withSentinel } from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const { x, y } = samples(64);
const args = { batchSize: 8, shuffle: false, verbose: 0 } as const;
const FOREVER = { ...args, epochs: 1_000_000 };

type Trainer = Awaited<ReturnType<typeof open>>;

/** Resolves when the trainer has done that many steps from now. */
function stepsDone(trainer: Trainer, count: number): Promise<void> {
  return new Promise(resolve => {
    let seen = 0;
    const subscription = trainer.events$.subscribe(({ kind }) => {
      if (kind !== 'step') return;
      seen += 1;
      if (seen < count) return;
      subscription.unsubscribe();
      resolve();
    });
  });
}

async function expectUsable(trainer: Trainer): Promise<void> {
  const { model } = trainer;
  expect(isTraining(model)).toBe(false);
  const twin = compiledClassifier();
  model.setWeights(twin.getWeights());
  compile(model);
  await trainer.fit(x, y, args);
  await twin.fit(x, y, args);
  expectSameWeights(weightsOf(model), weightsOf(twin));
}

describe('an AbortSignal', () => {
  it('that has fired already makes fit reject before it trains', async () => {
    const model = compiledClassifier();
    const trainer = await open(model);
    const before = weightsOf(model);
    const reason = new Error('not today');
    const called: string[] = [];
    const callbacks = {
      onTrainBegin: () => void called.push('begin'),
      onTrainEnd: () => void called.push('end'),
    };
    const signal = AbortSignal.abort(reason);
    const error = await refusal(() => trainer.fit(x, y, { ...args, callbacks, signal }));
    expect(called).toEqual([]);
    expect(error).toBeInstanceOf(TrainingAbortedError);
    expect(error).toMatchObject({ code: 'MILLRACE_ABORTED', cause: reason });
    expect(weightsOf(model)).toEqual(before);
    await expectUsable(trainer);
  });

  it.each(BACKENDS)('during training stops soon, with weights that belong together, on %s', async backend => {
    const model = compiledClassifier();
    const trainer = await open(model, { backend });
    const events = recordEvents(trainer);
    const abort = new AbortController();
    const reason = new Error('enough');
    const call = trainer.fit(x, y, { ...FOREVER, signal: abort.signal });
    call.catch(() => {});
    await stepsDone(trainer, 11);
    abort.abort(reason);
    expect(await timeOf(call)).toBeLessThan(2_000);
    const error = await refusal(() => call);
    expect(error).toBeInstanceOf(TrainingAbortedError);
    expect(error.cause).toBe(reason);
    expect(events.some(({ kind }) => kind === 'train-end')).toBe(false);

    // As many whole steps as plain fit would have made: all stages stand at the same one.
    const reported = events.filter(({ kind }) => kind === 'step').length;
    const candidates = [reported, reported + 1, reported + 2];
    const matches: number[] = [];
    for (const steps of candidates) {
      const twin = compiledClassifier();
      for (let step = 0; step < steps; step++) {
        const start = (step % 8) * 8;
        await twin.trainOnBatch(tf.slice(x, start, 8), tf.slice(y, start, 8));
      }
      if (isClose(weightsOf(model), weightsOf(twin))) matches.push(steps);
    }
    expect(matches).toHaveLength(1);
    await expectUsable(trainer);
  });

  it.each(['onTrainBegin', 'onEpochBegin', 'onBatchBegin', 'onBatchEnd', 'onEpochEnd', 'onTrainEnd'])(
    'that fires inside %s stops training there',
    async hook => {
      const trainer = await open(compiledClassifier());
      const abort = new AbortController();
      const call = trainer.fit(x, y, {
        ...args,
        epochs: hook === 'onTrainEnd' ? 1 : FOREVER.epochs,
        signal: abort.signal,
        callbacks: { [hook]: () => abort.abort() },
      });
      // At the very end there is nothing left to stop.
      if (hook === 'onTrainEnd') await expect(call).resolves.toBeInstanceOf(tf.History);
      else expect(await refusal(() => call)).toBeInstanceOf(TrainingAbortedError);
      await expectUsable(trainer);
    },
  );

  it('during validation stops before the validation is over', async () => {
    const trainer = await open(compiledClassifier());
    const abort = new AbortController();
    const big = samples(60_000, 8);
    const call = trainer.fit(x, y, {
      ...args,
      validationData: [big.x, big.y],
      signal: abort.signal,
    });
    call.catch(() => {});
    await stepsDone(trainer, 7);
    abort.abort();
    expect(await timeOf(call)).toBeLessThan(2_000);
    expect(await refusal(() => call)).toBeInstanceOf(TrainingAbortedError);
  });

  it('is not listened to any more after fit, whether it was trained or refused', async () => {
    const trainer = await open(compiledClassifier());
    const { signal } = new AbortController();
    const train = () => trainer.fit(x, y, { ...args, signal });
    const first = train();
    await refusal(train);
    await first;
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await trainer.close();
    await refusal(train);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('that fires after fit does nothing', async () => {
    const trainer = await open(compiledClassifier());
    const abort = new AbortController();
    await trainer.fit(x, y, { ...args, signal: abort.signal });
    abort.abort();
    await expectUsable(trainer);
  });

  it('while a layer takes longer than the grace period leaves the weights of the last synchronisation', async () => {
    const trainer = await open(sabotaged('sleep', { ms: 2_500 }), {
      setup: saboteurModule,
      stages: 'auto',
      partition: ['saboteur'],
    });
    const before = weightsOf(trainer.model);
    const abort = new AbortController();
    const call = trainer.fit(withSentinel(x, 8), y, { ...args, signal: abort.signal });
    call.catch(() => {});
    await stepsDone(trainer, 1);
    abort.abort();
    expect(await timeOf(call)).toBeLessThan(5_000);
    expect(await refusal(() => call)).toBeInstanceOf(TrainingAbortedError);
    expect(weightsOf(trainer.model)).toEqual(before);
    await expect(trainer.fit(x, y, args)).resolves.toBeInstanceOf(tf.History);
  });

  it('while steps take about as long as the grace period keeps what they have trained', async () => {
    // Four samples with a sentinel make four slow steps.
    const slow = await open(sabotaged('sleep', { ms: 900 }), {
      setup: saboteurModule,
      stages: 'auto',
      partition: ['saboteur'],
      microBatches: 1,
    });
    const sentinels = withSentinel(withSentinel(withSentinel(withSentinel(x, 0), 8), 16), 24);
    const events = recordEvents(slow);
    const abort = new AbortController();
    const call = slow.fit(sentinels, y, { ...args, signal: abort.signal });
    call.catch(() => {});
    await stepsDone(slow, 1);
    abort.abort();
    expect(await refusal(() => call)).toBeInstanceOf(TrainingAbortedError);
    // The mini-batch that was trained, and those that were under way; their reports come as late as they do.
    const steps = events.filter(({ kind }) => kind === 'step').length;
    const matches: number[] = [];
    for (const count of [steps, steps + 1, steps + 2]) {
      const twin = sabotaged('sleep');
      await twin.fit(tf.slice(sentinels, 0, 8 * count), tf.slice(y, 0, 8 * count), args);
      if (isClose(weightsOf(slow.model), weightsOf(twin))) matches.push(count);
    }
    expect(matches).toHaveLength(1);
  });
});

describe('fit$', () => {
  it('starts when subscribed to, passes the events on and completes', async () => {
    const trainer = await open(compiledClassifier());
    const elsewhere = recordEvents(trainer);
    const run$ = trainer.fit$(x, y, args);
    expect(elsewhere).toEqual([]);
    const events: TrainerEvent[] = [];
    await new Promise<void>((complete, error) =>
      run$.subscribe({ next: event => events.push(event), complete, error }),
    );
    expect(events).toEqual(elsewhere);
    expect(events.map(({ kind }) => kind)).toEqual([
      'train-begin',
      'epoch-begin',
      ...Array.from({ length: 8 }, () => 'step'),
      'epoch-end',
      'train-end',
    ]);
  });

  it('trains anew for every subscription', async () => {
    const trainer = await open(compiledClassifier());
    const run$ = trainer.fit$(x, y, args);
    const once = () => new Promise<void>((complete, error) => run$.subscribe({ complete, error }));
    await once();
    await once();
    const twin = compiledClassifier();
    await twin.fit(x, y, { ...args, epochs: 2 });
    expectSameWeights(weightsOf(trainer.model), weightsOf(twin));
  });

  it('errors with what fit rejects with', async () => {
    const trainer = await open(compiledClassifier());
    const thrown = new Error('from a callback');
    const callbacks = {
      onBatchEnd: () => {
        throw thrown;
      },
    };
    const error = await new Promise(resolve =>
      trainer.fit$(x, y, { ...args, callbacks }).subscribe({ error: resolve }),
    );
    expect(error).toBe(thrown);
  });

  it('stops cleanly when unsubscribed from, and says nothing any more', async () => {
    const trainer = await open(compiledClassifier());
    const after: string[] = [];
    let isLeft = false;
    await new Promise<void>(resolve => {
      let seen = 0;
      const note = (what: string) => () => void (isLeft && after.push(what));
      const subscription = trainer.fit$(x, y, FOREVER).subscribe({
        next: ({ kind }) => {
          note(kind)();
          if (kind !== 'step' || ++seen < 5) return;
          isLeft = true;
          subscription.unsubscribe();
          resolve();
        },
        complete: note('complete'),
        error: note('error'),
      });
    });
    await idle(trainer);
    expect(after).toEqual([]);
    for (const weight of weightsOf(trainer.model)) expect(weight.every(Number.isFinite)).toBe(true);
    await expectUsable(trainer);
  });
});

describe('close while fit runs', () => {
  it('makes fit reject soon, and the model keeps finite weights', async () => {
    const model = compiledClassifier();
    const trainer = await open(model);
    const call = trainer.fit(x, y, FOREVER);
    call.catch(() => {});
    await stepsDone(trainer, 5);
    expect(await timeOf(trainer.close())).toBeLessThan(3_000);
    const error = await refusal(() => call);
    expect(error).toBeInstanceOf(TrainingAbortedError);
    expect(error.message).toContain('the trainer was closed');
    for (const weight of weightsOf(model)) expect(weight.every(Number.isFinite)).toBe(true);
    expect(isTraining(model)).toBe(false);
    await model.fit(x, y, args);
  });

  it.each(['onBatchEnd', 'onEpochEnd'])('from inside %s does not wait for itself', async hook => {
    const trainer = await open(compiledClassifier());
    const callbacks = { [hook]: () => trainer.close() };
    const error = await refusal(() => trainer.fit(x, y, { ...FOREVER, callbacks }));
    expect(error).toBeInstanceOf(TrainingAbortedError);
  });

  it('while a layer hangs ends all the same', async () => {
    const trainer = await open(sabotaged('hang'), {
      setup: saboteurModule,
      stages: 'auto',
      partition: ['saboteur'],
    });
    const call = trainer.fit(withSentinel(x, 20), y, args);
    call.catch(() => {});
    await stepsDone(trainer, 1);
    expect(await timeOf(trainer.close())).toBeLessThan(5_000);
    expect(await refusal(() => call)).toBeInstanceOf(TrainingAbortedError);
  });

  it('lets predict and evaluate reject too', async () => {
    const big = samples(60_000, 8);
    for (const start of [
      (trainer: Trainer) => trainer.predict(big.x),
      (trainer: Trainer) => trainer.evaluate(big.x, big.y),
    ]) {
      const trainer = await open(compiledClassifier());
      const call = start(trainer);
      call.catch(() => {});
      await trainer.close();
      expect(await refusal(() => call)).toBeInstanceOf(TrainingAbortedError);
      expect(await refusal(() => trainer.predict(x))).toBeInstanceOf(StateError);
    }
  });
});

/** Resolves when the trainer takes calls again. */
async function idle(trainer: Trainer): Promise<void> {
  for (;;) {
    try {
      await trainer.memory();
      return;
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      await new Promise(setImmediate);
    }
  }
}

function isClose(a: readonly Float32Array[], b: readonly Float32Array[]): boolean {
  return a.every((weight, index) => {
    const difference = weight.map((value, position) => value - b[index]![position]!);
    return Math.hypot(...difference) <= 1e-4 * Math.hypot(...b[index]!) + 1e-6;
  });
}
