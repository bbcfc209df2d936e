/**
 * Waiting for another thread, with bounds: a thread that waits goes on hearing an abort, goes on showing that it
 * is alive, and gives up when nothing moves for too long.
 *
 * A waiter sleeps on the word it waits for, in slices. A change of the word wakes it at once (whoever changes
 * it notifies); an abort does not, as the aborting thread would have to know every word that is waited on, so it is
 * noticed at the end of the slice: within `WAIT_SLICE_MS` plus the time the system takes to schedule the
 * thread, together well under 100 ms.
 */
import { PAUSE_INDEX } from '../protocol/control.js';
import type { ControlBlock } from './control.js';
import { StallError } from './errors.js';

/** Longest sleep between two looks at the abort word. Waking 20 times a second costs nothing measurable. */
export const WAIT_SLICE_MS = 50;

/**
 * Looks that pay, for threads with a core each: 80 to 110 µs of looking catch what comes within that time, and a round trip of
 * 64 bytes then takes 3 µs instead of 80. With fewer cores than workers it would take the core of the one that is waited for. The
 * driver's thread is not counted: it sleeps for most of a step, and two workers on two cores were no slower for spinning.
 */
const SPIN_COUNT = 10_000;

/** How often a worker looks before it sleeps. */
export function spinCountFor(workerCount: number, coreCount: number): number {
  return workerCount <= coreCount ? SPIN_COUNT : 0;
}

export interface WaiterOptions {
  /** Which worker's heart beats while this waits. Without one, none does: the main thread has no heartbeat. */
  readonly worker?: number;
  /**
   * Looks at the word before the first sleep. Spinning saves the 5 to 50 µs of falling asleep and being
   * woken, and costs the core: only for threads that have a core of their own. Default 0.
   */
  readonly spinCount?: number;
  readonly sliceMs?: number;
  /** A wait that lasts this long is a stall. Default: never. */
  readonly stallTimeoutMs?: number;
  /** A clock in milliseconds, from any origin. */
  readonly now?: () => number;
}

export class Waiter {
  readonly control: ControlBlock;
  readonly #worker: number | undefined;
  readonly #spinCount: number;
  readonly #sliceMs: number;
  readonly #stallTimeoutMs: number;
  readonly #now: () => number;

  constructor(control: ControlBlock, options: WaiterOptions = {}) {
    this.control = control;
    this.#worker = options.worker;
    this.#spinCount = options.spinCount ?? 0;
    this.#sliceMs = options.sliceMs ?? WAIT_SLICE_MS;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? Number.POSITIVE_INFINITY;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * Returns once the word is no longer `expected`. Throws `AbortedError` when the run is aborted, `StallError`
   * after the stall timeout. `what` completes "while waiting to …" in those errors.
   */
  waitWhile(words: Int32Array, index: number, expected: number, what: string): void {
    for (let spin = 0; spin < this.#spinCount; spin++) {
      // Pairs with the store of whoever changes the word: what it wrote before is visible when this returns.
      if (Atomics.load(words, index) !== expected) return;
    }
    let quietSinceMs = this.#now();
    for (let waitedMs = 0; ; ) {
      this.control.throwIfAborted(what);
      const sliceMs = Math.min(this.#sliceMs, this.#stallTimeoutMs - waitedMs);
      // Pairs with store and notification of whoever changes the word. Comparing and falling asleep are one step,
      // so a change just before is found ('not-equal') and a change just after wakes. A notification alone
      // proves nothing (somebody may notify without a change), hence the look at the word.
      Atomics.wait(words, index, expected, sliceMs);
      if (this.#worker !== undefined) this.control.beat(this.#worker);
      // Pairs with the same store as above.
      if (Atomics.load(words, index) !== expected) return;
      const nowMs = this.#now();
      if (this.control.isIdleExpected || this.control.isPaused) quietSinceMs = nowMs;
      waitedMs = nowMs - quietSinceMs;
      if (waitedMs >= this.#stallTimeoutMs) throw new StallError(what, waitedMs);
    }
  }

  /** At a service point: returns at once unless the run is paused, and then when it is resumed. */
  waitWhilePaused(): void {
    while (this.control.isPaused) this.waitWhile(this.control.words, PAUSE_INDEX, 1, 'be resumed');
  }
}
