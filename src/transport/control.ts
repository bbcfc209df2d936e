/**
 * The control block: words through which a run is stopped, paused and watched, seen by the main thread and all
 * workers. It lives in a small buffer of its own, as long as the pool of workers; arenas come and go.
 *
 * It carries no data and no causes. Who aborts keeps the error; everybody else learns only that, and why.
 */
import {
  ABORT_INDEX,
  type AbortReason,
  BELL_INDEX,
  controlWordCount,
  controlWorkerCount,
  heartbeatIndex,
  IDLE_EXPECTED_INDEX,
  PAUSE_INDEX,
} from '../protocol/control.js';
import { AbortedError, TransportError } from './errors.js';

export class ControlBlock {
  /** Give this to other threads for them to attach to: it crosses shared. */
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly workerCount: number;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.workerCount = controlWorkerCount(this.words.length);
    if (!Number.isInteger(this.workerCount) || this.workerCount < 0) {
      throw new TransportError(`a buffer of ${buffer.byteLength} bytes is not a control block`);
    }
  }

  static create(workerCount: number): ControlBlock {
    const byteLength = controlWordCount(workerCount) * Int32Array.BYTES_PER_ELEMENT;
    return new ControlBlock(new SharedArrayBuffer(byteLength));
  }

  static attach(buffer: SharedArrayBuffer): ControlBlock {
    return new ControlBlock(buffer);
  }

  /**
   * Poisons the run. Returns whether this call was the first; only the first one's reason counts, and its caller
   * is the one who reports. Threads that wait notice within one slice of their `Waiter`.
   */
  abort(reason: AbortReason): boolean {
    // Pairs with the loads of `abortReason` and with itself: of several that exchange, exactly one finds 0.
    // A load and a store instead would let two threads both believe they were first, and report twice.
    const isFirst = Atomics.compareExchange(this.words, ABORT_INDEX, 0, reason) === 0;
    // Pairs with waits on the pause word: a paused worker looks at ABORT at once. Before the exchange it
    // would find 0 and sleep on for a slice.
    Atomics.notify(this.words, PAUSE_INDEX);
    this.ring();
    return isFirst;
  }

  /** Why the run was stopped, or undefined while it is not. */
  get abortReason(): AbortReason | undefined {
    // Pairs with the exchange in `abort`: what its caller wrote before aborting is visible once this is not 0.
    const reason = Atomics.load(this.words, ABORT_INDEX);
    return reason === 0 ? undefined : (reason as AbortReason);
  }

  get isAborted(): boolean {
    return this.abortReason !== undefined;
  }

  /** `what` names what the thread was about to do, such as `receive on F0>1`. */
  throwIfAborted(what: string): void {
    const reason = this.abortReason;
    if (reason !== undefined) throw new AbortedError(reason, what);
  }

  /**
   * Makes the block ready for another run. Only for the main thread, and only when no worker runs a program: one
   * that had not yet seen the poison would never see it.
   */
  clear(): void {
    this.resume();
    this.setIdleExpected(false);
    // Pairs with the loads of `abortReason`. Last, so that whoever sees a clean word sees no old pause either.
    Atomics.store(this.words, ABORT_INDEX, 0);
  }

  /** Asks workers to stop at their next service point, until `resume`. */
  pause(): void {
    // Pairs with the load of `isPaused`; nothing else is published with it.
    Atomics.store(this.words, PAUSE_INDEX, 1);
  }

  resume(): void {
    // Pairs with waits while PAUSE is 1: the store comes first, since a waiter that is woken before it
    // would find 1 and go back to sleep.
    Atomics.store(this.words, PAUSE_INDEX, 0);
    Atomics.notify(this.words, PAUSE_INDEX);
  }

  get isPaused(): boolean {
    // Pairs with the stores in `pause` and `resume`: what the main thread wrote before them is visible.
    return Atomics.load(this.words, PAUSE_INDEX) !== 0;
  }

  /**
   * Says that the driver has nothing to feed (the user's data source or a callback takes its time, or no run is
   * going on), so that no wait counts as a stall until it says the opposite.
   */
  setIdleExpected(isExpected: boolean): void {
    // Pairs with the load below. A waiter that reads the old value counts, or forgives, one slice too much.
    Atomics.store(this.words, IDLE_EXPECTED_INDEX, isExpected ? 1 : 0);
  }

  get isIdleExpected(): boolean {
    // Pairs with the store in `setIdleExpected`.
    return Atomics.load(this.words, IDLE_EXPECTED_INDEX) !== 0;
  }

  /** Wakes the main thread: there is something for it in a channel, or the run was aborted. */
  ring(): void {
    // Pairs with the load of `bell`. The caller has stored its news already (a ring's sequence, ABORT), so who
    // sees the new count sees the news; counted first, the main thread could look, find nothing and sleep.
    Atomics.add(this.words, BELL_INDEX, 1);
    // Pairs with `waitAsync` in `nextBell`; it comes after the count, for the reason given in `resume`.
    Atomics.notify(this.words, BELL_INDEX);
  }

  /** How often the bell has rung, modulo 2³². */
  get bell(): number {
    // Pairs with the addition in `ring`: all news rung in up to this count is visible to whoever looks now.
    return Atomics.load(this.words, BELL_INDEX);
  }

  /**
   * Resolves when the bell has rung since `since`, or after the timeout, with the present count. No ring is
   * missed if `since` is read before the channels are looked at:
   *
   *     let seen = control.bell;
   *     for (;;) { handleAllThatIsReady(); seen = await control.nextBell(seen, 1000); }
   *
   * It does not keep the event loop alive; running workers do. It may resolve without a turn of the event loop,
   * so a main thread with other duties yields to it now and then. The timeout is a net, not a clock: choose about a
   * second. Each call's timer lives on to its end (some 300 bytes), even if the bell rang long before.
   */
  async nextBell(since: number, timeoutMs: number): Promise<number> {
    // Pairs with addition and notification in `ring`: the comparison with `since` and the beginning of the
    // wait are one step, so a ring between the caller's look and this line is found, not slept through.
    const wait = Atomics.waitAsync(this.words, BELL_INDEX, since, timeoutMs);
    if (wait.async) await wait.value;
    return this.bell;
  }

  /** A sign of life of a worker, given by the worker itself. */
  beat(worker: number): void {
    // Pairs with the load in `heartbeat`, where only a change matters. One writer: nothing depends on the order.
    Atomics.add(this.words, heartbeatIndex(worker), 1);
  }

  /** How often the worker has beaten, modulo 2³². A worker inside a long kernel does not beat. */
  heartbeat(worker: number): number {
    // Pairs with the addition in `beat`.
    return Atomics.load(this.words, heartbeatIndex(worker));
  }
}
