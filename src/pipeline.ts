/** The public face of a trainer: a `tf.LayersModel`'s methods over a pipeline of worker threads. */
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { Observable, Subject } from 'rxjs';
import { chooseBackend } from './backends/index.js';
import { ConfigurationError, StageError, StateError, TrainingAbortedError } from './errors.js';
import { assertCompiled, functionLocator, readGraph } from './model/index.js';
import { type PipelineOptions, parseOptions } from './options.js';
import { describePlan, type Plan } from './plan.js';
import { evaluateSamples, predictSamples } from './scheduler/driver/evaluate.js';
import type { TrainerEvent } from './scheduler/driver/events.js';
import { type FitArgs, fitModel } from './scheduler/driver/fit.js';
import { countStages } from './scheduler/driver/plan-model.js';
import { Runtime } from './scheduler/driver/runtime.js';
import { settleWithin } from './scheduler/driver/settle-within.js';
import { StopRequest } from './scheduler/driver/stop-request.js';
import { evaluationData, predictionData, type UserTensors } from './scheduler/driver/user-data.js';
import { isTraining, setTraining } from './tfjs/internals.js';

/** Arguments of `evaluate` and `predict`. */
export interface BatchArgs {
  /** Samples of a mini-batch. Default 32, as in tfjs. */
  batchSize?: number;
}

/**
 * Cuts a compiled model into stages and starts a worker thread for each.
 *
 * @param model a built and compiled `tf.LayersModel` or `tf.Sequential`; its weights are kept up to date by `fit`
 * @throws ConfigurationError for an option that is unknown or ill-typed, or that does not suit the model
 * @throws ModelError for a model that is not compiled, not built, or no LayersModel
 * @throws BackendError for a backend that was asked for and cannot load
 */
export async function pipeline(model: tf.LayersModel, options?: PipelineOptions): Promise<PipelinedModel> {
  const resolved = parseOptions(options);
  const graph = readGraph(model);
  assertCompiled(model);
  countStages(graph, resolved, 1);
  const backend = chooseBackend(resolved.backend);
  const setup = resolved.setup.map(moduleUrl);
  const modules = new Map<string, Record<string, unknown>>();
  for (const url of setup) modules.set(url, await importSetup(url));
  const seed = resolved.seed ?? Math.floor(Math.random() * 2 ** 32);
  const runtime = await Runtime.start({
    graph,
    options: resolved,
    backend: backend.name,
    setup,
    functions: functionLocator(modules),
    seed,
    poison: process.env['MILLRACE_POISON_SLOTS'] === '1',
  });
  const warnings = [
    ...backend.warnings.map(message => ({ code: 'BACKEND', message })),
    ...runtime.plan.warnings,
  ];
  return new PipelinedModel(
    model,
    runtime,
    describePlan(runtime.plan, backend, runtime.pool.infos[0]!.backendVersion),
    seed,
    warnings,
  );
}

function moduleUrl(module: string): string {
  return module.startsWith('file:') ? module : pathToFileURL(module).href;
}

async function importSetup(url: string): Promise<Record<string, unknown>> {
  try {
    return await import(url);
  } catch (error) {
    throw new ConfigurationError(
      'setup',
      `The setup module ${url} cannot be imported: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

/** How long `close` waits for the call that it interrupted, once the threads are gone. */
const CLOSE_PATIENCE_MS = 500;

type State = 'idle' | 'busy' | 'closed';

/** A model that trains, evaluates and predicts as a pipeline. Made by `pipeline()`. */
export class PipelinedModel implements AsyncDisposable {
  /** The wrapped model. It has the trained weights after `fit`, and whenever a callback is called. */
  readonly model: tf.LayersModel;
  /** What runs where. */
  readonly plan: Plan;
  readonly #runtime: Runtime;
  readonly #seed: number;
  readonly #events$ = new Subject<TrainerEvent>();
  /** Told again to whoever subscribes later, since they were known before anybody could. */
  readonly #warnings: readonly { readonly code: string; readonly message: string }[];
  readonly #steps = { count: 0 };
  #state: State = 'idle';
  #closing: Promise<void> | undefined;
  #running:
    | { readonly what: string; readonly stop: StopRequest; readonly done: Promise<unknown> }
    | undefined;

  /** @internal Use `pipeline()`. */
  constructor(
    model: tf.LayersModel,
    runtime: Runtime,
    plan: Plan,
    seed: number,
    warnings: readonly { readonly code: string; readonly message: string }[],
  ) {
    this.model = model;
    this.plan = plan;
    this.#runtime = runtime;
    this.#seed = seed;
    this.#warnings = warnings;
  }

  /** Typed events in the order in which they happen; a subscriber first gets the warnings that planning gave. */
  get events$(): Observable<TrainerEvent> {
    return new Observable(subscriber => {
      for (const { code, message } of this.#warnings) subscriber.next({ kind: 'warning', code, message });
      return this.#events$.subscribe(subscriber);
    });
  }

  /**
   * Trains the model, as `tf.LayersModel.fit` does: same arguments, callbacks, history and numbers.
   *
   * @param x inputs, one sample a row
   * @param y targets
   * @throws ConfigurationError for data or arguments that do not suit the model
   * @throws StageError when a stage throws, a worker dies, or nothing moves for `stallTimeoutMs`
   * @throws TrainingAbortedError when `args.signal` fires
   */
  async fit(x: UserTensors, y: UserTensors, args: FitArgs = {}): Promise<tf.History> {
    const stop = new StopRequest(checkSignal(args));
    return this.#exclusively('fit', stop, async () => {
      if (isTraining(this.model))
        throw new StateError('fit() was called while the model is being trained by another fit().');
      setTraining(this.model, true);
      try {
        await this.#runtime.prepare();
        return await fitModel(
          {
            model: this.model,
            runtime: this.#runtime,
            seed: this.#seed,
            emit: event => this.#events$.next(event),
            isObserved: () => this.#events$.observed,
            steps: this.#steps,
            stop,
          },
          x,
          y,
          args,
        );
      } finally {
        setTraining(this.model, false);
        stop.dispose();
      }
    });
  }

  /** `fit` as an Observable: subscribing starts it, its events come through, and unsubscribing stops it. */
  fit$(x: UserTensors, y: UserTensors, args: FitArgs = {}): Observable<TrainerEvent> {
    return new Observable(subscriber => {
      const abort = new AbortController();
      const signal = args.signal === undefined ? abort.signal : AbortSignal.any([args.signal, abort.signal]);
      const events = this.#events$.subscribe(event => subscriber.next(event));
      this.fit(x, y, { ...args, signal }).then(
        () => subscriber.complete(),
        (error: unknown) => subscriber.error(error),
      );
      return () => {
        events.unsubscribe();
        abort.abort(new Error('The subscription to fit$ ended.'));
      };
    });
  }

  /**
   * Loss and metrics on test data, as `tf.LayersModel.evaluate` gives them: one scalar, or a list in the order of
   * `model.metricsNames`. Asynchronous, unlike in tfjs.
   */
  evaluate(x: UserTensors, y: UserTensors, args: BatchArgs = {}): Promise<tf.Scalar | tf.Scalar[]> {
    return this.#exclusively('evaluate', new StopRequest(), async () => {
      const batchSize = checkBatchSize(args);
      await this.#runtime.prepare();
      const data = await evaluationData(this.model, x, y, batchSize);
      const values = await evaluateSamples(this.#runtime, data, batchSize);
      const scalars = values.map(value => tf.scalar(value));
      return scalars.length === 1 ? scalars[0]! : scalars;
    });
  }

  /** The model's outputs for `x`, in order: one tensor, or a list for several outputs. Asynchronous, unlike in tfjs. */
  predict(x: UserTensors, args: BatchArgs = {}): Promise<tf.Tensor | tf.Tensor[]> {
    return this.#exclusively('predict', new StopRequest(), async () => {
      const batchSize = checkBatchSize(args);
      await this.#runtime.prepare();
      const data = predictionData(this.model, x);
      const outputs = await predictSamples(this.#runtime, data, batchSize);
      return outputs.length === 1 ? outputs[0]! : outputs;
    });
  }

  /** Saves the wrapped model with its present weights, as `tf.LayersModel.save` does. */
  save(handlerOrUrl: tf.io.IOHandler | string, config?: tf.io.SaveConfig): Promise<tf.io.SaveResult> {
    return this.#exclusively('save', new StopRequest(), () => this.model.save(handlerOrUrl, config));
  }

  /** Sets the states of stateful layers back to zero. */
  resetStates(): Promise<void> {
    return this.#exclusively('resetStates', new StopRequest(), async () => {
      await this.#runtime.prepare();
      this.model.resetStates();
      await this.#runtime.resetStates();
    });
  }

  /** Tensors alive in each worker. */
  memory(): Promise<readonly { readonly tensorCount: number; readonly tensorBytes: number }[]> {
    return this.#exclusively('memory', new StopRequest(), async () => {
      await this.#runtime.prepare();
      return this.#runtime.memory();
    });
  }

  /** Stops whatever runs, ends the workers, and completes `events$`. May be called more than once. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#state = 'closed';
    const running = this.#running;
    running?.stop.request(new Error('The trainer was closed.'));
    await this.#runtime.close();
    // Not for ever: a callback of the running fit may be what waits for this.
    if (running !== undefined) await settleWithin([running.done], CLOSE_PATIENCE_MS);
    this.#events$.complete();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #exclusively<T>(what: string, stop: StopRequest, task: () => Promise<T>): Promise<T> {
    if (this.#state === 'closed') {
      throw new StateError(
        `${what}() was called on a trainer that is closed. Make a new one with pipeline(model).`,
      );
    }
    if (this.#running !== undefined) {
      throw new StateError(`${what}() was called while ${this.#running.what}() runs. Await that first.`);
    }
    this.#state = 'busy';
    const done = task();
    this.#running = { what, stop, done };
    try {
      return await done;
    } catch (error) {
      // The threads that `close` ended look like failures from here.
      if ((this.#state as State) === 'closed')
        throw error instanceof StageError ? closedDuring(what, error) : error;
      if (error instanceof StageError) this.#events$.next({ kind: 'failure', error });
      if (!(error instanceof ConfigurationError)) await this.#runtime.recover();
      throw error;
    } finally {
      this.#running = undefined;
      if ((this.#state as State) !== 'closed') this.#state = 'idle';
    }
  }
}

function closedDuring(what: string, cause: StageError): TrainingAbortedError {
  return new TrainingAbortedError(`${what}() was stopped because the trainer was closed.`, { cause });
}

function checkSignal(args: FitArgs): AbortSignal | undefined {
  if (typeof args !== 'object' || args === null) {
    throw new ConfigurationError('args', `fit() takes an object of arguments, but got ${String(args)}.`);
  }
  const { signal } = args;
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new ConfigurationError('signal', `'signal' takes an AbortSignal, but got ${String(signal)}.`);
}

function checkBatchSize({ batchSize = 32 }: BatchArgs): number {
  if (Number.isInteger(batchSize) && batchSize >= 1) return batchSize;
  throw new ConfigurationError(
    'batchSize',
    `'batchSize' takes a whole number of at least 1, but got ${batchSize}.`,
  );
}
