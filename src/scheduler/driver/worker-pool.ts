/**
 * The worker threads of one trainer, and the control words that they share. Where the threads come from, and where they go
 * when the trainer is closed, is their source's matter.
 */
import { BackendError, StageError } from '../../errors.js';
import { AbortReason } from '../../protocol/control.js';
import type { BatchNormMode } from '../../protocol/stage-spec.js';
import type { WorkerInfo } from '../../protocol/worker-api.js';
import { AbortedError, ControlBlock } from '../../transport/index.js';
import { FRESH_THREADS, type ThreadKind, type ThreadSource } from './thread-source.js';
import type { WorkerCalls } from './worker-calls.js';
import type { Joined, WorkerThread } from './worker-thread.js';

export interface PoolOptions extends ThreadKind {
  readonly workerCount: number;
  readonly seed: number;
  readonly batchNorm: BatchNormMode;
  readonly tracedLayers: readonly string[];
}

export interface PoolStart {
  /** Default: threads of the pool's own. */
  readonly threads?: ThreadSource | undefined;
  /** Ends the threads, however far they are. */
  readonly signal?: AbortSignal | undefined;
}

export class WorkerPool {
  readonly control: ControlBlock;
  readonly infos: readonly WorkerInfo[];
  readonly #threads: readonly WorkerThread[];
  readonly #calls: readonly WorkerCalls[];
  readonly #source: ThreadSource;
  #closing: Promise<void> | undefined;

  private constructor(
    control: ControlBlock,
    threads: readonly WorkerThread[],
    joined: readonly Joined[],
    source: ThreadSource,
  ) {
    this.control = control;
    this.#threads = threads;
    this.#calls = joined.map(({ calls }) => calls);
    this.infos = joined.map(({ info }) => info);
    this.#source = source;
  }

  /** Starts all workers in parallel; resolves when each has its backend loaded. */
  static async start(
    { workerCount, ...init }: PoolOptions,
    { threads: source = FRESH_THREADS, signal }: PoolStart = {},
  ): Promise<WorkerPool> {
    const assertWanted = (): void => {
      if (!signal?.aborted) return;
      throw new StageError({ name: AbortedError.name, message: 'the workers are not wanted any more' });
    };
    assertWanted();
    const threads = await source.take(workerCount, init);
    const control = ControlBlock.create(workerCount);
    const giveUp = (): void => {
      for (const thread of threads) void thread.terminate();
    };
    signal?.addEventListener('abort', giveUp);
    try {
      // The source may have taken its time.
      assertWanted();
      const joined = await Promise.all(
        threads.map((thread, worker) => thread.join(control, { worker, ...init })),
      );
      return new WorkerPool(control, threads, joined, source);
    } catch (error) {
      giveUp();
      await Promise.all(threads.map(thread => source.giveBack(thread)));
      throw asBackendError(error, init.backend);
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  get workerCount(): number {
    return this.#threads.length;
  }

  /** Workers that may compute at the same time, those of other trainers with the same source included. */
  get activeWorkerCount(): number {
    return Math.max(this.workerCount, this.#source.mostThreads ?? 0);
  }

  worker(index: number): WorkerCalls {
    return this.#calls[index]!;
  }

  /**
   * Calls the same method everywhere; rejects with the first failure after all have settled.
   *
   * @param count of workers, the first ones; by default all
   */
  async all<T>(
    call: (worker: WorkerCalls, index: number) => Promise<T>,
    count = this.workerCount,
  ): Promise<T[]> {
    const settled = await Promise.allSettled(this.#calls.slice(0, count).map(call));
    const failed = settled.find(result => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return settled.map(result => (result as PromiseFulfilledResult<T>).value);
  }

  /** Whether some worker has died: the pool cannot be used any more, only closed. */
  get isBroken(): boolean {
    return this.#threads.some(thread => thread.isLost);
  }

  /** Counts a worker as dead that does not stop. Its thread ends when the pool is closed. */
  giveUp(index: number): void {
    this.#threads[index]!.giveUp();
  }

  /** Stops all workers, whatever they do, and returns when their source has the threads back. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    const { abortReason } = this.control;
    this.control.abort(AbortReason.cancelled);
    // Nobody knows what a stage that threw, or one that hung, has left half done in its thread.
    const isSuspect = abortReason !== undefined && abortReason !== AbortReason.cancelled;
    if (isSuspect) for (const thread of this.#threads) thread.retire();
    await Promise.all(this.#threads.map(thread => this.#source.giveBack(thread)));
  }
}

/** An engine that does not load in a worker fails as one that does not load in the main thread. */
function asBackendError(error: unknown, backend: string): unknown {
  if (!(error instanceof StageError) || !(error.cause instanceof Error)) return error;
  if (error.cause.name !== BackendError.name) return error;
  return new BackendError(backend, error.cause.message, { cause: error });
}
