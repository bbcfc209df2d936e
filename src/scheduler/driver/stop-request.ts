/**
 * Stopping a fit from outside: by an `AbortSignal` or by unsubscribing.
 *
 * Asked to stop, the loop hands out no further mini-batch and lets those under way finish, so that all stages stand at the
 * same step and their weights can be kept. If one of them takes longer than the grace period, the run is torn down instead,
 * and the model keeps the weights that it had when they last came back. The grace period goes by how long steps have taken:
 * a fixed one would throw away the training of every model whose steps are longer.
 */
import {
  asyncScheduler,
  defer,
  from,
  lastValueFrom,
  type MonoTypeOperatorFunction,
  ReplaySubject,
  Subject,
  startWith,
  switchMap,
  takeUntil,
  tap,
  timer,
} from 'rxjs';
import { TrainingAbortedError } from '../../errors.js';

/** How long a mini-batch under way may take to finish once somebody wants to stop: at least, and at the most. */
const LEAST_GRACE_MS = 1_000;
const MOST_GRACE_MS = 60_000;
/** The same in terms of the longest step so far, which a busy machine may exceed. */
const GRACE_STEPS = 2;

export class StopRequest {
  /** Tells a run that begins later too. */
  readonly #requested$ = new ReplaySubject<void>(1);
  readonly #forget: () => void = () => {};
  #reason: unknown;
  #isRequested = false;
  #isTornDown = false;
  /** Longest time between two reports of a run, its start included. */
  #longestStepMs = 0;

  constructor(signal?: AbortSignal) {
    if (signal === undefined) return;
    if (signal.aborted) this.request(signal.reason);
    else {
      const onAbort = (): void => this.request(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#forget = () => signal.removeEventListener('abort', onAbort);
    }
  }

  request(reason: unknown): void {
    if (this.#isRequested) return;
    this.#isRequested = true;
    this.#reason = reason;
    this.#requested$.next();
  }

  get isRequested(): boolean {
    return this.#isRequested;
  }

  /** Whether a run was torn down half-way, so that the workers' weights do not belong together. */
  get isTornDown(): boolean {
    return this.#isTornDown;
  }

  /** What the promise gives, or `undefined` if a stop is requested earlier. */
  unlessRequested<T>(promise: Promise<T>): Promise<T | undefined> {
    // No Promise.race: every call would leave a reaction on a promise that lasts as long as the fit.
    return lastValueFrom(from(promise).pipe(takeUntil(this.#requested$)), { defaultValue: undefined });
  }

  /** Ends a run that reports nothing for longer than the grace period after the request. */
  guard<T>(): MonoTypeOperatorFunction<T> {
    return run$ =>
      defer(() => {
        const reported$ = new Subject<void>();
        let sinceMs = asyncScheduler.now();
        const noteReport = (): void => {
          const nowMs = asyncScheduler.now();
          this.#longestStepMs = Math.max(this.#longestStepMs, nowMs - sinceMs);
          sinceMs = nowMs;
          reported$.next();
        };
        const lateness$ = this.#requested$.pipe(
          // Few come: once asked to stop, the loop hands out no more mini-batches.
          switchMap(() => reported$.pipe(startWith(undefined))),
          switchMap(() => timer(this.#graceMs)),
          tap(() => {
            this.#isTornDown = true;
          }),
        );
        return run$.pipe(tap(noteReport), takeUntil(lateness$));
      });
  }

  get #graceMs(): number {
    return Math.min(MOST_GRACE_MS, Math.max(LEAST_GRACE_MS, GRACE_STEPS * this.#longestStepMs));
  }

  /** Stops listening to the signal, which may outlive many fits. */
  dispose(): void {
    this.#forget();
  }

  throwIfRequested(): void {
    if (!this.#isRequested) return;
    const why = this.#reason instanceof Error ? this.#reason.message : String(this.#reason);
    throw new TrainingAbortedError(`Training was stopped: ${why}`, { cause: this.#reason });
  }
}
