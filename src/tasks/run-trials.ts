/**
 * Runs trials side by side within a budget of cores. It knows neither models nor workers: a runner trains.
 *
 * A trial is taken from its source only when a core is free, so that of a generator of thousands no more are made than run. A
 * trial that wants several cores keeps the first one and waits for the others, and nothing is taken meanwhile: trials begin
 * in the order in which they come, and none starves.
 */
import type * as tf from '@tensorflow/tfjs';
import { CoreBudget } from './core-budget.js';
import { type CheckedTrial, checkTrial, nameOfTrial, type ResolvedParallelOptions } from './options.js';
import type { CancelledTrial, CompletedTrial, FailedTrial, Trial, TrialResult } from './trial.js';
import type { Pulled, TrialSource } from './trial-source.js';

/** What is known of a trial however it ends. */
type Known = 'index' | 'name' | 'durationMs';
/** How a training ended. */
export type TrialEnd = Omit<CompletedTrial, Known> | Omit<FailedTrial, Known> | Omit<CancelledTrial, Known>;

export interface TrialRunner {
  /**
   * Trains to the end, on as many workers as the trial says; they are idle again when it resolves, which it does soon after
   * the signal fires.
   */
  run(trial: CheckedTrial, signal: AbortSignal): Promise<TrialEnd>;
}

export interface TrialsRun {
  readonly source: TrialSource;
  readonly runner: TrialRunner;
  readonly options: ResolvedParallelOptions;
  /** Cancels all. */
  readonly signal: AbortSignal;
  /** Told of every trial that was taken, with the trial as it came. */
  readonly emit: (result: TrialResult, trial: Partial<Trial>) => void;
  /** Clock in milliseconds. */
  readonly now: () => number;
}

/** Resolves when all trials are over, or those that had begun when the signal fired. */
export async function runTrials(run: TrialsRun): Promise<void> {
  const { source, options, signal } = run;
  const budget = new CoreBudget(options.cores);
  const running = new Set<Promise<void>>();
  for (let index = 0; await budget.acquire(1, signal); index++) {
    let pulled: Pulled | undefined;
    try {
      pulled = await source.pull(signal);
    } catch (error) {
      // A source that has thrown gives nothing more.
      report(run, { index, trial: undefined, end: failure(error), durationMs: 0 });
      break;
    }
    if (pulled === undefined) break;
    const { trial } = pulled;
    let checked: CheckedTrial;
    try {
      checked = checkTrial(trial, index, options);
    } catch (error) {
      report(run, { index, trial, end: failure(error), durationMs: 0 });
      budget.release(1);
      continue;
    }
    const { workers } = checked;
    // Of its own even where it is the same: a signal warns its owner of more than ten listeners.
    const own = AbortSignal.any(checked.signal === undefined ? [signal] : [signal, checked.signal]);
    if (!(await budget.acquire(workers - 1, own))) {
      report(run, { index, trial, end: { status: 'cancelled', model: undefined }, durationMs: 0 });
      budget.release(1);
      continue;
    }
    const training = train(run, index, checked, own).finally(() => {
      running.delete(training);
      budget.release(workers);
    });
    running.add(training);
  }
  source.close();
  await Promise.all(running);
}

async function train(
  run: TrialsRun,
  index: number,
  checked: CheckedTrial,
  signal: AbortSignal,
): Promise<void> {
  const startMs = run.now();
  let end: TrialEnd;
  try {
    end = await run.runner.run(checked, signal);
  } catch (error) {
    end = failure(error);
  }
  report(run, { index, trial: checked.trial, end, durationMs: run.now() - startMs });
}

interface Ended {
  readonly index: number;
  readonly trial: unknown;
  readonly end: TrialEnd;
  readonly durationMs: number;
}

function report({ emit }: TrialsRun, { index, trial, end, durationMs }: Ended): void {
  const known = { index, name: nameOfTrial(trial, index), durationMs };
  const asGiven = (trial ?? {}) as Partial<Trial>;
  try {
    if (typeof asGiven.dispose === 'function') asGiven.dispose();
  } catch (error) {
    emit({ ...known, ...failure(error, end.model) }, asGiven);
    return;
  }
  emit({ ...known, ...end }, asGiven);
}

export function failure(thrown: unknown, model?: tf.LayersModel): TrialEnd {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
  return { status: 'failed', error, model };
}
