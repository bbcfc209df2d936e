/**
 * Worker threads for many short trainings in a row, as `parallel` shares them, that a training must leave as it found them:
 * one that leaves a tensor behind in a worker fails where its trainer is closed.
 */
import { afterAll } from 'vitest';
import type { ThreadKind, ThreadSource } from '#internal/scheduler/driver/thread-source.js';
import { WorkerShelf } from '#internal/scheduler/driver/worker-shelf.js';
import type { WorkerThread } from '#internal/scheduler/driver/worker-thread.js';

/** More than any trainer of the tests asks for. */
const MOST_THREADS = 8;

export class CheckedShelf implements ThreadSource {
  readonly #shelf = new WorkerShelf(MOST_THREADS);

  take(count: number, kind: ThreadKind): Promise<readonly WorkerThread[]> {
    return this.#shelf.take(count, kind);
  }

  async giveBack(thread: WorkerThread): Promise<void> {
    // One that has failed, or is too busy to answer, ends: what it holds ends with it.
    const tensorsLeft = (thread.isReusable ? await thread.leave() : undefined) ?? 0;
    await this.#shelf.giveBack(thread);
    if (tensorsLeft !== 0) throw new Error(`${tensorsLeft} tensors were left behind in a worker`);
  }

  close(): Promise<void> {
    return this.#shelf.close();
  }
}

/** A shelf that closes after the last test of the calling file, or group: starting workers is most of a small training's time. */
export function sharedThreads(): CheckedShelf {
  const threads = new CheckedShelf();
  afterAll(() => threads.close());
  return threads;
}
