/** How trials are taken, begun and ended, with a runner that trains nothing and is told when to finish. */
import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { ConfigurationError, type Trial, type TrialResult } from 'millrace';
import { describe, expect, it } from 'vitest';
import { type CheckedTrial, checkOptions } from '#internal/tasks/options.js';
import { runTrials, type TrialEnd, type TrialRunner } from '#internal/tasks/run-trials.js';
import { TrialSource } from '#internal/tasks/trial-source.js';

const model = tf.sequential();
const data = { x: tf.zeros([1]), y: tf.zeros([1]) };

function trialOf(name: string, workers = 1, more: Partial<Trial> = {}): Trial {
  return { name, model, data, options: { pipeline: { workers } }, ...more } as Trial;
}

const DONE: TrialEnd = { status: 'completed', history: new tf.History(), model };

interface Training {
  readonly trial: CheckedTrial;
  readonly signal: AbortSignal;
  readonly finish: (end: TrialEnd | Promise<never>) => void;
}

/** Holds every training until it is told to finish it, and keeps the books about cores. */
class GatedRunner implements TrialRunner {
  readonly running = new Map<string, Training>();
  readonly begun: string[] = [];
  busy = 0;
  mostBusy = 0;

  async run(trial: CheckedTrial, signal: AbortSignal): Promise<TrialEnd> {
    this.begun.push(trial.name);
    this.busy += trial.workers;
    this.mostBusy = Math.max(this.mostBusy, this.busy);
    try {
      return await new Promise<TrialEnd>(finish => {
        this.running.set(trial.name, { trial, signal, finish });
        signal.addEventListener('abort', () => finish({ status: 'cancelled', model: undefined }));
      });
    } finally {
      this.running.delete(trial.name);
      this.busy -= trial.workers;
    }
  }

  finish(name: string, end: TrialEnd | Promise<never> = DONE): void {
    this.running.get(name)!.finish(end);
  }
}

function start(trials: unknown, cores: number) {
  const runner = new GatedRunner();
  const abort = new AbortController();
  const results: TrialResult[] = [];
  const done = runTrials({
    source: new TrialSource(trials),
    runner,
    options: checkOptions({ cores }),
    signal: abort.signal,
    emit: result => results.push(result),
    now: () => 0,
  });
  const statuses = (): string[] => results.map(({ name, status }) => `${name} ${status}`);
  return { runner, abort, results, statuses, done };
}

/** Counts what is taken from it, and whether it was let go. */
function counted(trials: readonly Trial[]) {
  const count = { taken: 0, isClosed: false };
  function* generate(): Generator<Trial> {
    try {
      for (const trial of trials) {
        count.taken++;
        yield trial;
      }
    } finally {
      count.isClosed = true;
    }
  }
  return { count, generate };
}

describe('trials', () => {
  it('give their results in the order in which they end, and others follow them', async () => {
    const { runner, results, done } = start(
      ['a', 'b', 'c'].map(name => trialOf(name)),
      2,
    );
    await setImmediate();
    expect([...runner.running.keys()]).toEqual(['a', 'b']);
    runner.finish('b');
    await setImmediate();
    expect([...runner.running.keys()]).toEqual(['a', 'c']);
    runner.finish('a');
    runner.finish('c');
    await done;
    expect(results.map(({ index, name }) => [index, name])).toEqual([
      [1, 'b'],
      [0, 'a'],
      [2, 'c'],
    ]);
  });

  it('never take more cores than there are, begin in order, and all end, whatever they want', async () => {
    const wishes = fc.record({
      cores: fc.integer({ min: 1, max: 4 }),
      workers: fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 12 }),
      next: fc.infiniteStream(fc.nat()),
    });
    await fc.assert(
      fc.asyncProperty(wishes, async ({ cores, workers, next }) => {
        const { count, generate } = counted(workers.map((wanted, index) => trialOf(`${index}`, wanted)));
        const { runner, results, done } = start(generate, cores);
        let isOver = false;
        void done.then(() => {
          isOver = true;
        });
        for (await setImmediate(); !isOver; await setImmediate()) {
          const names = [...runner.running.keys()];
          // Somebody always runs until all is over, and only the one in waiting is made before its turn.
          expect(names.length).toBeGreaterThan(0);
          expect(count.taken).toBeLessThanOrEqual(results.length + names.length + 1);
          runner.finish(names[next.next().value % names.length]!);
        }
        expect(runner.mostBusy).toBeLessThanOrEqual(cores);
        expect(runner.begun).toEqual(
          workers.flatMap((wanted, index) => (wanted <= cores ? [`${index}`] : [])),
        );
        expect(results.map(({ index }) => index).sort((a, b) => a - b)).toEqual(workers.map((_, i) => i));
        for (const { index, status } of results) {
          expect(status).toBe(workers[index]! <= cores ? 'completed' : 'failed');
        }
      }),
      { numRuns: 100 },
    );
  });

  it('come one when a core is free, and no sooner', async () => {
    const { count, generate } = counted(Array.from({ length: 1_000 }, (_, index) => trialOf(`${index}`)));
    const { runner, abort, done } = start(generate(), 2);
    await setImmediate();
    expect(count.taken).toBe(2);
    runner.finish('0');
    await setImmediate();
    expect(count.taken).toBe(3);
    abort.abort();
    await done;
    expect(count).toEqual({ taken: 3, isClosed: true });
  });

  it('that are wide wait for enough cores, and those behind them wait too', async () => {
    const { runner, done } = start([trialOf('a'), trialOf('b'), trialOf('wide', 2), trialOf('c')], 2);
    await setImmediate();
    runner.finish('a');
    await setImmediate();
    expect([...runner.running.keys()]).toEqual(['b']);
    runner.finish('b');
    await setImmediate();
    expect([...runner.running.keys()]).toEqual(['wide']);
    runner.finish('wide');
    await setImmediate();
    runner.finish('c');
    await done;
  });

  it.each([
    ['an array', [trialOf('a')]],
    ['a set', new Set([trialOf('a')])],
    [
      'a generator',
      (function* () {
        yield trialOf('a');
      })(),
    ],
    [
      'an async generator function',
      async function* () {
        yield trialOf('a');
      },
    ],
    ['a function that gives an array', () => [trialOf('a')]],
  ])('may come from %s', async (_, trials) => {
    const { runner, statuses, done } = start(trials, 1);
    await setImmediate();
    runner.finish('a');
    await done;
    expect(statuses()).toEqual(['a completed']);
  });

  it('may be none', async () => {
    const { results, done } = start([], 1);
    await done;
    expect(results).toEqual([]);
  });
});

describe('what fails', () => {
  it('is one trial: its error is its result, and the others go on', async () => {
    const { runner, results, statuses, done } = start(
      ['a', 'b', 'c'].map(name => trialOf(name)),
      1,
    );
    await setImmediate();
    runner.finish('a', Promise.reject(new RangeError('no')));
    await setImmediate();
    runner.finish('b', Promise.reject('a string'));
    await setImmediate();
    runner.finish('c');
    await done;
    expect(statuses()).toEqual(['a failed', 'b failed', 'c completed']);
    expect(results[0]).toMatchObject({ error: { name: 'RangeError', message: 'no' } });
    expect(results[1]).toMatchObject({ error: { message: 'a string', cause: 'a string' } });
  });

  it('is a source: it gives nothing more, and what runs goes on', async () => {
    const { runner, results, statuses, done } = start(function* () {
      yield trialOf('a');
      throw new Error('out of ideas');
    }, 2);
    await setImmediate();
    expect(statuses()).toEqual(['trial 1 failed']);
    runner.finish('a');
    await done;
    expect(statuses()).toEqual(['trial 1 failed', 'a completed']);
    expect(results[0]).toMatchObject({ index: 1, error: { message: 'out of ideas' }, durationMs: 0 });
  });

  it.each<[string, unknown, string, RegExp]>([
    ['no trial', 7, 'trial', /'model' and 'data', but got 7/],
    ['a trial without a model', { data }, 'model', /a LayersModel, or a function that makes one/],
    ['a trial without data', { model }, 'data', /\{ x, y \}, a dataset, or a function/],
    ['an unknown property', { model, data, epochs: 3 }, 'epochs', /name, model, data, options, dispose/],
    ['a verbosity of its own', { model, data, options: { verbose: 1 } }, 'verbose', /Give it to parallel/],
    ['a signal that is none', { model, data, options: { signal: 1 } }, 'signal', /AbortSignal/],
    ['an unknown option', { model, data, options: { pipeline: { worker: 1 } } }, 'worker', /Unknown option/],
    ['more workers than cores', trialOf('wide', 3), 'workers', /'wide' asks for 3 workers.* has 2 cores/],
    [
      'a schedule for more workers than cores',
      {
        model,
        data,
        options: {
          pipeline: {
            schedule: {
              name: 's',
              stageCount: 3,
              microBatchCount: 1,
              workerOfStage: [0, 1, 2],
              orders: [[], [], []],
            },
          },
        },
      },
      'workers',
      /asks for 3 workers/,
    ],
    ['a dispose that is no function', { model, data, dispose: 1 }, 'dispose', /takes a function/],
  ])('is %s, which is refused before anything of it runs', async (_, trial, path, message) => {
    const { runner, results, done } = start([trial, trialOf('good')], 2);
    await setImmediate();
    expect(runner.begun).toEqual(['good']);
    runner.finish('good');
    await done;
    const [refused] = results;
    expect(refused).toMatchObject({ index: 0, status: 'failed', model: undefined });
    const { error } = refused as { error: Error };
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({ path, message: expect.stringMatching(message) });
  });
});

describe('cancelling', () => {
  it('all ends what runs, tells it, and takes no more', async () => {
    const { count, generate } = counted(['a', 'b', 'c'].map(name => trialOf(name)));
    const { abort, statuses, done } = start(generate, 2);
    await setImmediate();
    abort.abort();
    await done;
    expect(statuses()).toEqual(['a cancelled', 'b cancelled']);
    expect(count).toEqual({ taken: 2, isClosed: true });
  });

  it('all does not wait for a source that gives nothing', async () => {
    const { abort, results, done } = start(async function* () {
      await new Promise(() => {});
      yield trialOf('never');
    }, 1);
    await setImmediate();
    abort.abort();
    await done;
    expect(results).toEqual([]);
  });

  it('one by its own signal leaves the others alone, running or waiting', async () => {
    const [first, waiting] = [new AbortController(), new AbortController()];
    const own = (name: string, workers: number, { signal }: AbortController): Trial =>
      trialOf(name, workers, { options: { signal, pipeline: { workers } } });
    const trials = [own('a', 1, first), trialOf('b'), own('wide', 2, waiting), trialOf('c')];
    const { runner, statuses, done } = start(trials, 2);
    await setImmediate();
    first.abort();
    await setImmediate();
    expect(statuses()).toEqual(['a cancelled']);
    waiting.abort();
    await setImmediate();
    expect(statuses()).toEqual(['a cancelled', 'wide cancelled']);
    expect([...runner.running.keys()]).toEqual(['b', 'c']);
    runner.finish('b');
    runner.finish('c');
    await done;
    expect(runner.mostBusy).toBe(2);
  });

  it('before the first trial takes none', async () => {
    const { count, generate } = counted([trialOf('a')]);
    const run = start(generate, 1);
    run.abort.abort();
    await run.done;
    expect(count.taken).toBe(0);
  });
});

describe('what was made for a trial', () => {
  it('is disposed once, however the trial ended', async () => {
    const disposed: string[] = [];
    const own = (name: string, more: Partial<Trial> = {}): Trial =>
      trialOf(name, 1, { dispose: () => disposed.push(name), ...more } as Partial<Trial>);
    const trials = [
      own('done'),
      own('failing'),
      own('refused', { options: { pipeline: { workers: 9 } } }),
      own('cancelled', { options: { signal: AbortSignal.abort() } }),
    ];
    const { runner, done } = start(trials, 1);
    await setImmediate();
    expect(disposed).toEqual([]);
    runner.finish('done');
    await setImmediate();
    runner.finish('failing', Promise.reject(new Error('no')));
    await done;
    expect(disposed).toEqual(['done', 'failing', 'refused', 'cancelled']);
  });

  it('and cannot be disposed makes a failure of the trial', async () => {
    const dispose = (): void => {
      throw new Error('still in use');
    };
    const { runner, results, done } = start([trialOf('a', 1, { dispose })], 1);
    await setImmediate();
    runner.finish('a');
    await done;
    expect(results).toEqual([
      { index: 0, name: 'a', durationMs: 0, status: 'failed', error: new Error('still in use'), model },
    ]);
  });
});
