/**
 * The worker threads of one trainer. Piscina owns the threads; each runs one task that lasts as long as the trainer, and
 * answers control calls on a Comlink port of its own.
 *
 * Two things Comlink leaves to its user are done here. A call to a thread that died never settles, so the end of the
 * worker's task rejects every call under way. And an error loses its class on the way, so workers reply with data (`Reply`).
 */
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { Piscina } from 'piscina';
import { BackendError, StageError } from '../../errors.js';
import { AbortReason } from '../../protocol/control.js';
import type { BackendName, BatchNormMode } from '../../protocol/stage-spec.js';
import type { Reply, WorkerApi, WorkerInfo } from '../../protocol/worker-api.js';
import { AbortedError, ControlBlock } from '../../transport/index.js';

const WORKER_FILE = fileURLToPath(new URL('../../stages/worker.js', import.meta.url));

export interface PoolOptions {
  readonly workerCount: number;
  readonly backend: BackendName | 'null';
  /** Modules that every worker imports first, as URLs or absolute paths. */
  readonly setup: readonly string[];
  readonly seed: number;
  readonly batchNorm: BatchNormMode;
}

/** The methods of `WorkerApi` with their replies unwrapped: values or thrown `StageError`s. */
export type WorkerCalls = {
  [Method in keyof WorkerApi]: (
    ...args: Parameters<WorkerApi[Method]>
  ) => Promise<Awaited<ReturnType<WorkerApi[Method]>> extends Reply<infer Value> ? Value : void>;
};

export class WorkerPool {
  readonly control: ControlBlock;
  readonly infos: readonly WorkerInfo[];
  readonly #piscina: Piscina;
  readonly #workers: readonly Connection[];
  #closing: Promise<void> | undefined;

  private constructor(
    piscina: Piscina,
    control: ControlBlock,
    workers: readonly Connection[],
    infos: readonly WorkerInfo[],
  ) {
    this.#piscina = piscina;
    this.control = control;
    this.#workers = workers;
    this.infos = infos;
  }

  /**
   * Starts all workers in parallel; resolves when each has its backend loaded.
   *
   * @param signal ends them, however far they are
   */
  static async start({ workerCount, ...init }: PoolOptions, signal?: AbortSignal): Promise<WorkerPool> {
    if (signal?.aborted) {
      throw new StageError({ name: AbortedError.name, message: 'the workers are not wanted any more' });
    }
    const control = ControlBlock.create(workerCount);
    const piscina = new Piscina({
      filename: WORKER_FILE,
      minThreads: workerCount,
      maxThreads: workerCount,
      // With 'sync' an idle worker sleeps in Atomics.wait and would not hear its Comlink port.
      atomics: 'disabled',
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    const workers = Array.from(
      { length: workerCount },
      (_, index) => new Connection(piscina, control, index),
    );
    const giveUp = (): void => void piscina.destroy();
    signal?.addEventListener('abort', giveUp);
    try {
      const infos = await Promise.all(
        workers.map((worker, index) =>
          worker.calls.init({ worker: index, control: control.buffer, ...init }),
        ),
      );
      return new WorkerPool(piscina, control, workers, infos);
    } catch (error) {
      for (const worker of workers) worker.disconnect();
      await piscina.destroy();
      throw asBackendError(error, init.backend);
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  get workerCount(): number {
    return this.#workers.length;
  }

  worker(index: number): WorkerCalls {
    return this.#workers[index]!.calls;
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
    const called = this.#workers.slice(0, count);
    const settled = await Promise.allSettled(called.map(({ calls }, index) => call(calls, index)));
    const failed = settled.find(result => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return settled.map(result => (result as PromiseFulfilledResult<T>).value);
  }

  /** Whether some worker has died: the pool cannot be used any more, only closed. */
  get isBroken(): boolean {
    return this.#workers.some(worker => worker.isLost);
  }

  /** Counts a worker as dead that does not stop. Its thread ends when the pool is closed. */
  giveUp(index: number): void {
    this.#workers[index]!.giveUp();
  }

  /** Ends all workers, whatever they do, and returns when their threads are gone. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.control.abort(AbortReason.cancelled);
    await Promise.allSettled(this.#workers.map(worker => worker.end()));
    for (const worker of this.#workers) worker.disconnect();
    await this.#piscina.destroy();
  }
}

/** An engine that does not load in a worker fails as one that does not load in the main thread. */
function asBackendError(error: unknown, backend: string): unknown {
  if (!(error instanceof StageError) || !(error.cause instanceof Error)) return error;
  if (error.cause.name !== BackendError.name) return error;
  return new BackendError(backend, error.cause.message, { cause: error });
}

/** How long a worker may take to say goodbye before its thread is ended from outside: one long kernel. */
const GOODBYE_MS = 1_000;

class Connection {
  readonly calls: WorkerCalls;
  readonly #port: MessagePort;
  readonly #served: Promise<void>;
  /**
   * Rejects the calls under way. Not a race with one promise for all calls: each race would leave a reaction on it, which
   * keeps the reply (the weights, say) for as long as the pool lives.
   */
  readonly #pending = new Set<(why: StageError) => void>();
  /** Why no call is answered any more. */
  #end: StageError | undefined;
  #isLost = false;

  constructor(piscina: Piscina, control: ControlBlock, index: number) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#served = piscina.run({ port: port2 }, { transferList: [port2] });
    this.#served.then(
      () =>
        this.#endWith(
          new StageError({ name: AbortedError.name, message: 'the worker was closed', worker: index }),
        ),
      (error: unknown) => {
        this.#isLost = true;
        control.abort(AbortReason.lost);
        this.#endWith(
          new StageError({
            name: error instanceof Error ? error.name : 'Error',
            message: `its thread ended: ${error instanceof Error ? error.message : String(error)}`,
            ...(error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {}),
            worker: index,
          }),
        );
      },
    );
    this.calls = this.#wrap(Comlink.wrap<WorkerApi>(port1 as unknown as Comlink.Endpoint));
  }

  #wrap(remote: Comlink.Remote<WorkerApi>): WorkerCalls {
    const call = async (method: keyof WorkerApi, args: unknown[]): Promise<unknown> => {
      const send = remote[method] as (...args: unknown[]) => Promise<Reply<unknown> | undefined>;
      const reply = await this.#unlessEnded(() => send(...args));
      if (reply === undefined) return undefined;
      if (!reply.ok) throw new StageError(reply.failure);
      return reply.value;
    };
    return new Proxy({} as WorkerCalls, {
      get: (_, method: keyof WorkerApi | 'then') =>
        method === 'then' ? undefined : (...args: unknown[]) => call(method, args),
    });
  }

  #endWith(why: StageError): void {
    this.#end = why;
    for (const reject of this.#pending) reject(why);
    this.#pending.clear();
  }

  #unlessEnded<T>(call: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#end !== undefined) return reject(this.#end);
      this.#pending.add(reject);
      call()
        .then(resolve, reject)
        .finally(() => this.#pending.delete(reject));
    });
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  giveUp(): void {
    this.#isLost = true;
  }

  async end(): Promise<void> {
    if (this.#isLost) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>(resolve => {
      timer = setTimeout(resolve, GOODBYE_MS);
    });
    await Promise.race([this.calls.close(), this.#served.catch(() => {}), patience]);
    clearTimeout(timer);
  }

  disconnect(): void {
    this.#port.close();
  }
}
