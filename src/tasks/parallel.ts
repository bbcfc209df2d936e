/** Task parallelism: many trainings on the cores of one machine, each on its own worker. */
import { Observable } from 'rxjs';
import { TrialsProgress } from '../report/trials-progress.js';
import { checkOptions, type ParallelOptions, type ResolvedParallelOptions } from './options.js';
import { runTrials, type TrialsRun } from './run-trials.js';
import { TrainerRunner } from './trainer-runner.js';
import type { TrialResult, Trials } from './trial.js';
import { checkTrials, TrialSource } from './trial-source.js';

/**
 * Trains several models, or one with several settings, side by side on one pool of workers, and gives the results in the
 * order in which they come about. Each is trained as `pipeline(model).fit` does, and to the same numbers.
 *
 * A trial takes a core, or as many as its pipeline has `workers`. Trials are taken from their source in order, one when a
 * core is free: of a generator no more are made than run. One that wants several cores waits until they are free, and
 * those behind it wait too. Workers are used again by later trials of the same backend and `setup`.
 *
 * The Observable is cold: each subscription runs all trials. A trial that fails is a result like any other, and the others
 * go on; so is a source that throws, after which no more are taken. The Observable itself never fails. It completes when
 * the last trial is over and all worker threads are gone. Unsubscribing cancels what runs and ends the workers; so does
 * `signal`, which also tells what was cancelled, and lets the Observable complete.
 *
 * @example
 * ```ts
 * const results = await lastValueFrom(parallel(trials, { pipeline: { backend: 'cpu' } }).pipe(toArray()));
 * ```
 *
 * @throws ConfigurationError for an option that is unknown or ill-typed
 */
export function parallel(trials: Trials, options: ParallelOptions = {}): Observable<TrialResult> {
  const resolved = checkOptions(options);
  checkTrials(trials);
  return new Observable(subscriber => {
    const unsubscribed = new AbortController();
    const emit: TrialsRun['emit'] = (result, trial) => {
      if (!subscriber.closed) subscriber.next(result);
      // A model that a function has made, and that nobody gets.
      else if (typeof trial.model === 'function') result.model?.dispose();
    };
    run(new TrialSource(trials), resolved, unsubscribed.signal, emit).then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(error),
    );
    return () => unsubscribed.abort();
  });
}

async function run(
  source: TrialSource,
  options: ResolvedParallelOptions,
  unsubscribed: AbortSignal,
  emit: TrialsRun['emit'],
): Promise<void> {
  const { cores, verbose } = options;
  const signal =
    options.signal === undefined ? unsubscribed : AbortSignal.any([options.signal, unsubscribed]);
  const progress = verbose === 0 ? undefined : new TrialsProgress({ lines: verbose === 2 });
  const runner = new TrainerRunner(cores, progress);
  try {
    await runTrials({ source, runner, options, signal, emit, now: () => performance.now() });
  } finally {
    progress?.close();
    await runner.close();
  }
}
