/** Takes trials from wherever they come, one at a time and only when asked to. */
import { ConfigurationError } from '../errors.js';
import { unlessAborted } from './unless-aborted.js';

type TrialIterator = Iterator<unknown, unknown, unknown> | AsyncIterator<unknown, unknown, unknown>;

/** What the source gave, as yet unchecked. */
export interface Pulled {
  readonly trial: unknown;
}

export class TrialSource {
  readonly #trials: unknown;
  #iterator: TrialIterator | undefined;

  constructor(trials: unknown) {
    this.#trials = trials;
  }

  /** The next trial, or `undefined` if there is none or the signal fires first. Rejects with what the source throws. */
  async pull(signal: AbortSignal): Promise<Pulled | undefined> {
    try {
      const next = await unlessAborted(async () => this.#started.next(), signal);
      return next.done === true ? undefined : { trial: next.value };
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
  }

  get #started(): TrialIterator {
    this.#iterator ??= iteratorOf(typeof this.#trials === 'function' ? this.#trials() : this.#trials);
    return this.#iterator;
  }

  /** Lets a source that is not exhausted clean up. It is not waited for: it may be waiting for something else itself. */
  close(): void {
    void (async () => this.#iterator?.return?.())().catch(() => {});
  }
}

/** @throws ConfigurationError for what can give no trials */
export function checkTrials(trials: unknown): void {
  if (typeof trials !== 'function') iterableOf(trials);
}

function iteratorOf(source: unknown): TrialIterator {
  const iterable = iterableOf(source);
  return Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]();
}

function iterableOf(source: unknown): Iterable<unknown> | AsyncIterable<unknown> {
  const isIterable =
    typeof source === 'object' &&
    source !== null &&
    (Symbol.asyncIterator in source || Symbol.iterator in source);
  if (isIterable) return source as Iterable<unknown> | AsyncIterable<unknown>;
  throw new ConfigurationError(
    'trials',
    `parallel() takes an array, an iterable, an async iterable or a generator of trials, but got ${String(source)}.`,
  );
}
