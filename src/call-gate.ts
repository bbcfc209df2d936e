/** Lets one call at a time use a trainer, puts the trainer right after one that failed, and ends what runs when it closes. */
import { ConfigurationError, StageError, StateError, TrainingAbortedError } from './errors.js';
import { settleWithin } from './scheduler/driver/settle-within.js';
import type { StopRequest } from './scheduler/driver/stop-request.js';

/** How long `close` waits for the call that it interrupted, once the threads are gone. */
const CLOSE_PATIENCE_MS = 500;

export interface GateHooks {
  /** A stage threw, or its worker died. */
  readonly onFailure: (error: StageError) => void;
  /** Makes the trainer usable again after a call that broke off. */
  readonly recover: () => Promise<void>;
}

export class CallGate {
  readonly #hooks: GateHooks;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  #running:
    | { readonly what: string; readonly stop: StopRequest; readonly done: Promise<unknown> }
    | undefined;

  constructor(hooks: GateHooks) {
    this.#hooks = hooks;
  }

  /** Runs `task`, unless another call runs or the trainer is closed. */
  async run<T>(what: string, stop: StopRequest, task: () => Promise<T>): Promise<T> {
    if (this.#isClosed) {
      throw new StateError(
        `${what}() was called on a trainer that is closed. Make a new one with pipeline(model).`,
      );
    }
    if (this.#running !== undefined) {
      const { what: other } = this.#running;
      const hint = other.startsWith('fit')
        ? ' A callback cannot, and uses the model itself: model.predict(), say.'
        : '';
      throw new StateError(`${what}() was called while ${other}() runs. Await that first.${hint}`);
    }
    const done = task();
    this.#running = { what, stop, done };
    try {
      return await done;
    } catch (error) {
      // The threads that closing ended look like failures from here.
      if (this.#isClosed) throw error instanceof StageError ? closedDuring(what, error) : error;
      if (error instanceof StageError) this.#hooks.onFailure(error);
      if (!(error instanceof ConfigurationError)) await this.#hooks.recover();
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  /** Stops whatever runs and calls `end` once, however often it is called itself. */
  close(end: () => Promise<void>): Promise<void> {
    this.#closing ??= this.#close(end);
    return this.#closing;
  }

  async #close(end: () => Promise<void>): Promise<void> {
    this.#isClosed = true;
    const running = this.#running;
    running?.stop.request(new Error('The trainer was closed.'));
    await end();
    // Not for ever: a callback of the running fit may be what waits for this.
    if (running !== undefined) await settleWithin([running.done], CLOSE_PATIENCE_MS);
  }
}

function closedDuring(what: string, cause: StageError): TrainingAbortedError {
  return new TrainingAbortedError(`${what}() was stopped because the trainer was closed.`, { cause });
}
