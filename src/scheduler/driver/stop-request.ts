/**
 * Stopping a fit from outside: by an `AbortSignal` or by unsubscribing.
 *
 * Asked to stop, the loop hands out no further mini-batch and lets those under way finish, so that all stages stand at the
 * same step and their weights can be kept. If that takes longer than the grace period, the run is torn down instead, and the
 * model keeps the weights that it had when they last came back.
 */
import {
  from,
  lastValueFrom,
  type MonoTypeOperatorFunction,
  ReplaySubject,
  switchMap,
  takeUntil,
  tap,
  timer,
} from 'rxjs';
import { TrainingAbortedError } from '../../errors.js';

/** How long mini-batches under way may take to finish once somebody wants to stop. */
const GRACE_MS = 1_000;

export class StopRequest {
  /** Tells a run that begins later too. */
  readonly #requested$ = new ReplaySubject<void>(1);
  readonly #forget: () => void = () => {};
  #reason: unknown;
  #isRequested = false;
  #isTornDown = false;

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

  /** Ends a run that goes on for longer than the grace period after the request. */
  guard<T>(): MonoTypeOperatorFunction<T> {
    return takeUntil(
      this.#requested$.pipe(
        switchMap(() => timer(GRACE_MS)),
        tap(() => {
          this.#isTornDown = true;
        }),
      ),
    );
  }

  /** Stops listening to the signal, which may outlive many fits. */
  dispose(): void {
    this.#forget();
  }

  throwIfRequested(): void {
    if (!this.#isRequested) return;
    throw new TrainingAbortedError('Training was stopped by its AbortSignal or by unsubscribing.', {
      cause: this.#reason,
    });
  }
}
