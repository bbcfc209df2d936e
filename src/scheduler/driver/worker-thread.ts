/**
 * One worker thread. Piscina owns the thread; it runs one task that lasts as long as the thread serves, and answers control
 * calls on a Comlink port of its own. It may serve one pool after the other.
 */
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { Piscina } from 'piscina';
import { StageError } from '../../errors.js';
import { AbortReason } from '../../protocol/control.js';
import type { Failure } from '../../protocol/failure.js';
import type { WorkerApi, WorkerInfo, WorkerInit } from '../../protocol/worker-api.js';
import { AbortedError, type ControlBlock } from '../../transport/index.js';
import { settleWithin } from './settle-within.js';
import { callsTo, PendingCalls, type WorkerCalls } from './worker-calls.js';

const WORKER_FILE = fileURLToPath(new URL('../../stages/worker.js', import.meta.url));

/** How long a worker may take to say goodbye before its thread is ended from outside: one long kernel. */
const GOODBYE_MS = 1_000;

const CLOSED: Failure = { name: AbortedError.name, message: 'the worker was closed' };

/** A thread's place in a pool. */
interface Seat {
  readonly control: ControlBlock;
  readonly worker: number;
  readonly pending: PendingCalls;
}

/** What a pool has of a thread that has joined it: calls that end when it leaves. */
export interface Joined {
  readonly calls: WorkerCalls;
  readonly info: WorkerInfo;
}

export class WorkerThread {
  readonly #piscina: Piscina;
  readonly #port: MessagePort;
  readonly #portClosed: Promise<unknown>;
  readonly #remote: Comlink.Remote<WorkerApi>;
  readonly #served: Promise<void>;
  /** Calls that are no pool's: to leave, and to end. */
  readonly #pending = new PendingCalls();
  readonly #calls: WorkerCalls;
  #seat: Seat | undefined;
  #isLost = false;
  #isRetired = false;
  #termination: Promise<void> | undefined;

  constructor() {
    this.#piscina = new Piscina({
      filename: WORKER_FILE,
      // A Piscina for each thread, so that one can be ended without the others.
      minThreads: 1,
      maxThreads: 1,
      // With 'sync' an idle worker sleeps in Atomics.wait and would not hear its Comlink port.
      atomics: 'disabled',
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#portClosed = new Promise(resolve => port1.once('close', resolve));
    this.#remote = Comlink.wrap<WorkerApi>(port1 as unknown as Comlink.Endpoint);
    this.#calls = callsTo(this.#remote, this.#pending);
    this.#served = this.#piscina.run({ port: port2 }, { transferList: [port2] });
    this.#served.then(
      () => this.#endCalls(CLOSED),
      (error: unknown) => {
        this.#isLost = true;
        this.#seat?.control.abort(AbortReason.lost);
        this.#endCalls({
          name: error instanceof Error ? error.name : 'Error',
          message: `its thread ended: ${error instanceof Error ? error.message : String(error)}`,
          ...(error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {}),
        });
      },
    );
  }

  #endCalls(why: Failure): void {
    this.#endSeat(why);
    this.#pending.endWith(new StageError(why));
  }

  #endSeat(why: Failure): void {
    const seat = this.#seat;
    seat?.pending.endWith(new StageError({ ...why, worker: seat.worker }));
  }

  /** Makes the thread a worker of a pool; resolves when it has its backend loaded. */
  async join(control: ControlBlock, init: Omit<WorkerInit, 'control'>): Promise<Joined> {
    const pending = new PendingCalls();
    this.#seat = { control, worker: init.worker, pending };
    const calls = callsTo(this.#remote, pending);
    return { calls, info: await calls.init({ control: control.buffer, ...init }) };
  }

  /**
   * Empties the thread for its next pool; the last one's calls are over. Returns how many tensors are left that a new worker
   * does not have, or `undefined` where the thread is dead, or does not answer in time and is given up.
   */
  async leave(): Promise<number | undefined> {
    this.#endSeat(CLOSED);
    this.#seat = undefined;
    if (this.#isLost) return undefined;
    let tensorsLeft: number | undefined;
    const cleared = this.#calls.clear().then(left => {
      tensorsLeft = left;
    });
    await settleWithin([cleared], GOODBYE_MS);
    if (tensorsLeft === undefined) this.giveUp();
    return tensorsLeft;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  giveUp(): void {
    this.#isLost = true;
  }

  /** Keeps the thread from being used by another pool. */
  retire(): void {
    this.#isRetired = true;
  }

  /** Whether another pool may use the thread. */
  get isReusable(): boolean {
    return !this.#isLost && !this.#isRetired;
  }

  /** Says goodbye to the worker and ends its thread; returns when that is gone. */
  async end(): Promise<void> {
    if (!this.#isLost) {
      const goodbye = Promise.race([this.#calls.close(), this.#served]);
      await settleWithin([goodbye], GOODBYE_MS);
    }
    await this.terminate();
  }

  /** Ends the thread at once, whatever it does, and returns when it is gone. */
  terminate(): Promise<void> {
    this.#isLost = true;
    this.#port.close();
    // A port goes on for a moment after `close`, and Node with it.
    this.#termination ??= Promise.all([this.#piscina.destroy(), this.#portClosed]).then(() => {});
    return this.#termination;
  }
}
