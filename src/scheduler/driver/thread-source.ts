/** Where the worker threads of a trainer come from, and where they go when it is closed. */
import type { BackendName } from '../../protocol/stage-spec.js';
import { WorkerThread } from './worker-thread.js';

/** What a thread is for good, once it has been a worker: an engine and imported modules cannot be taken out of it again. */
export interface ThreadKind {
  readonly backend: BackendName | 'null';
  /** Modules that every worker imports first, as URLs or absolute paths. */
  readonly setup: readonly string[];
}

export interface ThreadSource {
  /** Threads alive at a time at the most, over all pools; `undefined` where pools do not know of each other. */
  readonly mostThreads?: number;
  /** Threads that are new, or were workers of this kind before. The caller gives each of them back, whatever happens. */
  take(count: number, kind: ThreadKind): Promise<readonly WorkerThread[]>;
  /** Takes back a thread whose pool is done with it: its run has been aborted. Returns when it is empty or gone. */
  giveBack(thread: WorkerThread): Promise<void>;
}

/** New threads for every pool, which end with it. */
export const FRESH_THREADS: ThreadSource = {
  take: async count => Array.from({ length: count }, () => new WorkerThread()),
  giveBack: thread => thread.end(),
};
