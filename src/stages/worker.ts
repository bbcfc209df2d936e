/**
 * The file that Piscina runs in every worker: one task that lasts as long as the worker serves, and behind it the control
 * interface over a Comlink port. State lives here; Piscina only owns the thread.
 */
import type { MessagePort } from 'node:worker_threads';
import { threadId } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { type Backend, loadBackend } from '../backends/index.js';
import { StateError } from '../errors.js';
import { AbortReason } from '../protocol/control.js';
import type { Reply, WorkerApi, WorkerInit } from '../protocol/worker-api.js';
import { tf } from '../tf.js';
import { AbortedError, ControlBlock, StallError } from '../transport/index.js';
import { BuiltStages } from './build.js';
import type { EngineMode, StageEngine } from './engine.js';
import { describeFailure, replying } from './failures.js';
import { resolveFunctions } from './functions.js';
import { NullStage } from './null-stage.js';
import { profileNodes } from './profile.js';
import { WorkerSession } from './session.js';

class StageWorker {
  readonly #init: WorkerInit;
  readonly #control: ControlBlock;
  readonly #backend: Backend | undefined;
  /** Tensors of the thread when it was new. */
  readonly #firstTensorCount: number;
  readonly #sessions = new Map<number, WorkerSession>();
  #stages: BuiltStages | undefined;
  /** Settles when the last run is over. */
  #running: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(init: WorkerInit, backend: Backend | undefined, firstTensorCount: number) {
    this.#init = init;
    this.#control = ControlBlock.attach(init.control);
    this.#backend = backend;
    this.#firstTensorCount = firstTensorCount;
  }

  static async start(init: WorkerInit): Promise<StageWorker> {
    // Production mode silences tfjs's advice to install tfjs-node, which the main thread has weighed already.
    tf.enableProdMode();
    const backend = init.backend === 'null' ? undefined : await loadBackend(init.backend);
    for (const module of init.setup) await import(module);
    return new StageWorker(init, backend, tf.memory().numTensors);
  }

  /** The worker of another pool in the same thread, with the same engine. */
  successor(init: WorkerInit): StageWorker {
    this.close();
    return new StageWorker(init, this.#backend, this.#firstTensorCount);
  }

  get backendVersion(): string {
    return this.#backend?.version ?? 'none';
  }

  get backend(): Backend {
    if (this.#backend === undefined) throw new StateError('The null backend computes nothing.');
    return this.#backend;
  }

  get tracedLayers(): readonly string[] {
    return this.#init.tracedLayers;
  }

  get stages(): BuiltStages {
    if (this.#stages === undefined) throw new StateError('No stage was built in this worker yet.');
    return this.#stages;
  }

  async build(...[specs, compile, shared]: Parameters<WorkerApi['build']>): Promise<void> {
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
    // Whatever fails from here on, nobody is to find stages that are gone or half made.
    const previous = this.#stages;
    this.#stages = undefined;
    previous?.dispose();
    const built = await BuiltStages.build(this.backend, specs, compile, this.#init, shared);
    if (this.#isClosed) {
      built.dispose();
      throw new StateError('The worker was closed while its stages were built.');
    }
    this.#stages = built;
  }

  openSession(...[spec]: Parameters<WorkerApi['openSession']>): void {
    const makeEngine = (stage: number, mode: EngineMode): StageEngine =>
      spec.durations === undefined ? this.stages.engine(stage, mode) : new NullStage(stage, spec.durations);
    this.#sessions.set(spec.id, new WorkerSession(spec, this.#init.worker, this.#control, makeEngine));
  }

  /** Runs a session; what breaks here stops all other workers too. */
  run(id: number): Promise<void> {
    const running = this.#run(id);
    this.#running = running.catch(() => {});
    return running;
  }

  async #run(id: number): Promise<void> {
    try {
      const session = this.#sessions.get(id);
      if (session === undefined) {
        throw new StateError(`Session ${id} is not open in worker ${this.#init.worker}.`);
      }
      await session.run();
    } catch (error) {
      this.#control.abort(causeOf(error) instanceof StallError ? AbortReason.stalled : AbortReason.failed);
      throw error;
    }
  }

  closeSession(id: number): void {
    this.#sessions.get(id)?.close();
    this.#sessions.delete(id);
  }

  close(): void {
    this.#isClosed = true;
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
    this.#stages?.dispose();
    this.#stages = undefined;
  }

  async clear(): Promise<number> {
    // It was aborted, but may not have looked yet, and would go on with what is disposed here.
    await this.#running;
    this.close();
    return tf.memory().numTensors - this.#firstTensorCount;
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined && !(error instanceof AbortedError)
    ? causeOf(error.cause)
    : error;
}

/** Serves one trainer after the other until one says `close`; resolves then, so that Piscina can let the thread go. */
export default function serve({ port }: { port: MessagePort }): Promise<void> {
  return new Promise(resolve => {
    let worker: StageWorker | undefined;
    let index = -1;
    const started = (): StageWorker => {
      if (worker === undefined) throw new StateError('The worker was not initialised.');
      return worker;
    };
    const reply = <T>(task: (worker: StageWorker) => T | Promise<T>): Promise<Reply<T>> =>
      replying(index, () => task(started()));

    const api: WorkerApi = {
      async init(init) {
        index = init.worker;
        try {
          worker = worker?.successor(init) ?? (await StageWorker.start(init));
          const { backendVersion } = worker;
          return { ok: true, value: { threadId, backend: init.backend, backendVersion } };
        } catch (error) {
          return { ok: false, failure: describeFailure(error, index) };
        }
      },
      clear: () => reply(self => self.clear()),
      build: (specs, compile, shared) => reply(self => self.build(specs, compile, shared)),
      profile: (spec, compile, inputs, repeats) =>
        reply(async ({ backend, tracedLayers }) => {
          const functions = await resolveFunctions(compile, backend.fused?.operations);
          return profileNodes(backend, spec, compile, functions, inputs, repeats, tracedLayers);
        }),
      writeWeights: (stage, weights) => reply(self => self.stages.writeWeights(stage, weights)),
      readWeights: stage => reply(self => self.stages.readWeights(stage)),
      writeOptimizer: (stage, state) => reply(self => self.stages.get(stage).optimizer.write(state)),
      readOptimizer: stage => reply(self => self.stages.readOptimizer(stage)),
      resetOptimizer: stage => reply(self => self.stages.get(stage).optimizer.reset()),
      openSession: spec => reply(self => self.openSession(spec)),
      run: session => reply(self => self.run(session)),
      closeSession: session => reply(self => self.closeSession(session)),
      resetStates: () => reply(self => self.stages.resetStates()),
      memory: () =>
        reply(() => {
          const { numTensors, numBytes } = tf.memory();
          return { tensorCount: numTensors, tensorBytes: numBytes };
        }),
      async close() {
        worker?.close();
        // The answer must leave before the port closes under it.
        setImmediate(() => {
          port.close();
          resolve();
        });
      },
    };
    Comlink.expose(api, port as unknown as Comlink.Endpoint);
  });
}
