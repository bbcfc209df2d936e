/**
 * Worker threads that outlive a trainer. Starting one and loading its backend takes about half a second, which many small
 * trainings in a row would spend over and over; so a thread whose trainer is closed is emptied and kept for the next one.
 *
 * What a worker is told when it joins a pool is set anew each time: its place, the control words, seed, batch
 * normalization. Its backend and the modules it has imported stay, so only trainers of the same kind share it. A thread in
 * which a stage threw or hung is not used again, nor one that has more tensors than when it was new.
 */
import { StateError } from '../../errors.js';
import type { ThreadKind, ThreadSource } from './thread-source.js';
import { WorkerThread } from './worker-thread.js';

export class WorkerShelf implements ThreadSource {
  readonly mostThreads: number;
  /** The first one has been idle longest. */
  readonly #idle = new Map<WorkerThread, string>();
  readonly #busy = new Map<WorkerThread, string>();
  #isClosed = false;

  /** @param mostThreads alive at a time, idle ones included, as long as the pools do not ask for more at once */
  constructor(mostThreads: number) {
    this.mostThreads = mostThreads;
  }

  async take(count: number, kind: ThreadKind): Promise<readonly WorkerThread[]> {
    if (this.#isClosed) throw new StateError('The threads were asked for after their shelf was closed.');
    const name = nameOf(kind);
    const known = [...this.#idle].filter(([, other]) => other === name).slice(0, count);
    const threads = known.map(([thread]) => thread);
    for (const thread of threads) this.#idle.delete(thread);
    const unwanted = this.#surplus(count);
    while (threads.length < count) threads.push(new WorkerThread());
    for (const thread of threads) this.#busy.set(thread, name);
    await Promise.all(unwanted.map(thread => thread.end()));
    return threads;
  }

  /** Idle threads of other kinds that have to go, so that `count` more busy ones are not too many. */
  #surplus(count: number): WorkerThread[] {
    const excess = this.#busy.size + count + this.#idle.size - this.mostThreads;
    const unwanted = [...this.#idle.keys()].slice(0, Math.max(0, excess));
    for (const thread of unwanted) this.#idle.delete(thread);
    return unwanted;
  }

  async giveBack(thread: WorkerThread): Promise<void> {
    const name = this.#busy.get(thread);
    const isEmpty = thread.isReusable && (await thread.leave()) === 0;
    this.#busy.delete(thread);
    if (isEmpty && name !== undefined && !this.#isClosed) this.#idle.set(thread, name);
    else await thread.end();
  }

  /** Ends the idle threads; busy ones end when they are given back. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const idle = [...this.#idle.keys()];
    this.#idle.clear();
    await Promise.all(idle.map(thread => thread.end()));
  }
}

function nameOf({ backend, setup }: ThreadKind): string {
  return JSON.stringify([backend, setup]);
}
