/**
 * Control calls to a worker over Comlink. Two things that Comlink leaves to its user are done here: a call to a thread that
 * died, or is somebody else's by now, would never settle or be answered by the wrong worker, so its caller's end rejects
 * it; and an error loses its class on the way, so workers reply with data (`Reply`).
 */
import type * as Comlink from 'comlink';
import { StageError } from '../../errors.js';
import type { Reply, WorkerApi } from '../../protocol/worker-api.js';

/** The methods of `WorkerApi` with their replies unwrapped: values or thrown `StageError`s. */
export type WorkerCalls = {
  [Method in keyof WorkerApi]: (
    ...args: Parameters<WorkerApi[Method]>
  ) => Promise<Awaited<ReturnType<WorkerApi[Method]>> extends Reply<infer Value> ? Value : void>;
};

/** One caller's calls under way. */
export class PendingCalls {
  /**
   * Rejects them. Not a race with one promise for all calls: each race would leave a reaction on it, which keeps the reply
   * (the weights, say) for as long as the caller lives.
   */
  readonly #pending = new Set<(why: StageError) => void>();
  /** Why no call is answered any more. */
  #end: StageError | undefined;

  settle<T>(call: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#end !== undefined) return reject(this.#end);
      this.#pending.add(reject);
      call()
        .then(resolve, reject)
        .finally(() => this.#pending.delete(reject));
    });
  }

  /** Only the first reason counts. */
  endWith(why: StageError): void {
    this.#end ??= why;
    for (const reject of this.#pending) reject(this.#end);
    this.#pending.clear();
  }
}

export function callsTo(remote: Comlink.Remote<WorkerApi>, pending: PendingCalls): WorkerCalls {
  const call = async (method: keyof WorkerApi, args: unknown[]): Promise<unknown> => {
    const send = remote[method] as (...args: unknown[]) => Promise<Reply<unknown> | undefined>;
    const reply = await pending.settle(() => send(...args));
    if (reply === undefined) return undefined;
    if (!reply.ok) throw new StageError(reply.failure);
    return reply.value;
  };
  return new Proxy({} as WorkerCalls, {
    get: (_, method: keyof WorkerApi | 'then') =>
      method === 'then' ? undefined : (...args: unknown[]) => call(method, args),
  });
}
