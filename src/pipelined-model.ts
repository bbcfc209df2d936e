/** The public face of a trainer: a `tf.LayersModel`'s methods over a pipeline of worker threads. */

import { Observable, Subject, type Unsubscribable } from 'rxjs';
import type { BackendChoice } from './backends/index.js';
import { CallGate } from './call-gate.js';
import { describePlan } from './describe-plan.js';
import { StageError, StateError } from './errors.js';
import type { Plan } from './plan.js';
import { describeProfile, type ModelProfile } from './profile.js';
import { showProgress } from './report/progress.js';
import { Timeline } from './report/timeline/index.js';
import { checkDataset, type UserDataset } from './scheduler/driver/data/dataset.js';
import type { UserTensors } from './scheduler/driver/data/tensors.js';
import { labelledData, predictionData } from './scheduler/driver/data/user-data.js';
import { evaluateSamples, predictSamples } from './scheduler/driver/evaluate.js';
import type { TrainerEvent, Warn } from './scheduler/driver/events.js';
import {
  type BatchArgs,
  checkArgs,
  checkCount,
  checkOneOf,
  checkSignal,
  type EvaluateArgs,
  type EvaluateDatasetArgs,
  evaluateDatasetOf,
  type FitArgs,
  type FitContext,
  type FitDatasetArgs,
  firstSteps,
  fitDataset,
  fitTensors,
  type TrainOnBatchArgs,
  trainOnBatch,
} from './scheduler/driver/fit/index.js';
import { predictPlan } from './scheduler/driver/predict-plan.js';
import type { Runtime } from './scheduler/driver/runtime.js';
import { StepRecorder } from './scheduler/driver/step-recorder.js';
import { StopRequest } from './scheduler/driver/stop-request.js';
import { tf } from './tf.js';
import { isTraining, setTraining } from './tfjs/internals.js';

/** Shows the progress of a fit, whatever its `verbose`. */
export type ShowProgress = (trainer: { readonly events$: Observable<TrainerEvent> }) => Unsubscribable;

/** @internal */
export interface TrainerParts {
  readonly model: tf.LayersModel;
  readonly runtime: Runtime;
  readonly backend: BackendChoice;
  readonly seed: number;
  readonly timelineSteps: number;
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
  readonly showProgress: ShowProgress | undefined;
}

/** A model that trains, evaluates and predicts as a pipeline. Made by `pipeline()`. */
export class PipelinedModel implements AsyncDisposable {
  /** The wrapped model. It has the trained weights after `fit`, and whenever a callback is called. */
  readonly model: tf.LayersModel;
  readonly #backend: BackendChoice;
  readonly #runtime: Runtime;
  readonly #seed: number;
  readonly #events$ = new Subject<TrainerEvent>();
  /** Told again to whoever subscribes later, since they were known before anybody could. */
  readonly #warnings: TrainerParts['warnings'];
  readonly #steps = { count: 0 };
  readonly #fits = { count: 0 };
  readonly #recorder: StepRecorder;
  readonly #gate: CallGate;
  readonly #showProgress: ShowProgress | undefined;

  private constructor(parts: TrainerParts) {
    const { model, runtime, backend, seed, timelineSteps, warnings } = parts;
    this.model = model;
    this.#backend = backend;
    this.#runtime = runtime;
    this.#seed = seed;
    this.#warnings = warnings;
    this.#recorder = new StepRecorder(timelineSteps);
    this.#showProgress = parts.showProgress;
    this.#gate = new CallGate({
      onFailure: error => this.#events$.next({ kind: 'failure', error }),
      recover: () => runtime.recover(),
    });
  }

  /** @internal Use `pipeline()`. */
  static over(parts: TrainerParts): PipelinedModel {
    return new PipelinedModel(parts);
  }

  /** What runs where. Where the choice is left to Millrace, `fit` may find a better plan: read it again afterwards. */
  get plan(): Plan {
    const { plan, tuner, pool } = this.#runtime;
    return describePlan({
      plan,
      backend: this.#backend,
      backendVersion: pool.infos[0]!.backendVersion,
      tried: tuner?.tried ?? [],
      isSettled: tuner?.isDecided ?? true,
    });
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
    return this.#train('fit', args, context => fitTensors(context, x, y, args));
  }

  /**
   * Trains the model on what a dataset yields, as `tf.LayersModel.fitDataset` does: same arguments, callbacks, history and
   * numbers. The tensors of a mini-batch are disposed once they are read, as in tfjs; mini-batches may differ in size.
   *
   * @param dataset a `tf.data.Dataset`, an (async) iterable of `{ xs, ys }`, or a generator function, which is called anew
   *   for every epoch
   * @throws ConfigurationError for arguments that do not suit the model, or when the dataset yields something else
   */
  async fitDataset(dataset: UserDataset, args: FitDatasetArgs): Promise<tf.History> {
    return this.#train('fitDataset', args, context => fitDataset(context, dataset, args));
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
   * One step on one mini-batch, as `tf.LayersModel.trainOnBatch` does. Afterwards the wrapped model has the new weights and
   * the optimizer its new state; `fit` and `fitDataset` bring them back once, not for every mini-batch.
   *
   * @returns the loss before the step, or a list in the order of `model.metricsNames`
   */
  async trainOnBatch(
    x: UserTensors,
    y: UserTensors,
    args: TrainOnBatchArgs = {},
  ): Promise<number | number[]> {
    checkArgs('trainOnBatch', args);
    const stop = new StopRequest();
    const [first, ...others] = await this.#gate.run('trainOnBatch', stop, async () => {
      await this.#runtime.prepare();
      return trainOnBatch(this.#context(stop), x, y, args);
    });
    return others.length === 0 ? first! : [first!, ...others];
  }

  /**
   * Loss and metrics on test data, as `tf.LayersModel.evaluate` gives them: one scalar, or a list in the order of
   * `model.metricsNames`. Asynchronous, unlike in tfjs.
   */
  async evaluate(x: UserTensors, y: UserTensors, args: EvaluateArgs = {}): Promise<tf.Scalar | tf.Scalar[]> {
    checkArgs('evaluate', args);
    const { batchSize, steps, sampleWeight, verbose } = args;
    for (const [name, value] of Object.entries({ batchSize, steps })) checkCount(name, value);
    checkOneOf('verbose', verbose, [0]);
    return this.#gate.run('evaluate', new StopRequest(), async () => {
      await this.#runtime.prepare();
      const size = batchSize ?? 32;
      const data = await labelledData(this.#owner, x, y, sampleWeight, size);
      return toScalars(await evaluateSamples(this.#runtime, firstSteps('steps', data, size, steps), size));
    });
  }

  /** Loss and metrics on what a dataset yields, as `tf.LayersModel.evaluateDataset` gives them. */
  async evaluateDataset(
    dataset: UserDataset,
    args: EvaluateDatasetArgs = {},
  ): Promise<tf.Scalar | tf.Scalar[]> {
    checkArgs('evaluateDataset', args);
    checkDataset('dataset', dataset);
    checkCount('batches', args.batches);
    checkOneOf('verbose', args.verbose, [0]);
    const stop = new StopRequest();
    return this.#gate.run('evaluateDataset', stop, async () => {
      await this.#runtime.prepare();
      const context = this.#context(stop);
      const values = await evaluateDatasetOf('dataset', this.#owner, dataset, args.batches, context);
      stop.throwIfRequested();
      return toScalars(values);
    });
  }

  /** The model's outputs for `x`, in order: one tensor, or a list for several outputs. Asynchronous, unlike in tfjs. */
  async predict(x: UserTensors, args: BatchArgs = {}): Promise<tf.Tensor | tf.Tensor[]> {
    checkArgs('predict', args);
    checkCount('batchSize', args.batchSize);
    return this.#predict('predict', x, args.batchSize ?? 32);
  }

  /** The model's outputs for `x`, run as a single mini-batch. Asynchronous, unlike in tfjs. */
  async predictOnBatch(x: UserTensors): Promise<tf.Tensor | tf.Tensor[]> {
    return this.#predict('predictOnBatch', x, undefined);
  }

  #predict(what: string, x: UserTensors, batchSize: number | undefined): Promise<tf.Tensor | tf.Tensor[]> {
    return this.#gate.run(what, new StopRequest(), async () => {
      await this.#runtime.prepare();
      const data = predictionData(this.model, x);
      const outputs = await predictSamples(this.#runtime, data, batchSize ?? data.sampleCount);
      return outputs.length === 1 ? outputs[0]! : outputs;
    });
  }

  /** Saves the wrapped model with its present weights, as `tf.LayersModel.save` does. */
  save(handlerOrUrl: tf.io.IOHandler | string, config?: tf.io.SaveConfig): Promise<tf.io.SaveResult> {
    return this.#gate.run('save', new StopRequest(), () => this.model.save(handlerOrUrl, config));
  }

  /** Sets the states of stateful layers back to zero. */
  resetStates(): Promise<void> {
    return this.#gate.run('resetStates', new StopRequest(), async () => {
      await this.#runtime.prepare();
      this.model.resetStates();
      await this.#runtime.resetStates();
    });
  }

  /**
   * What the workers did in the last training steps (`timelineSteps` of them), beside the plan's prediction; of a trainer that has
   * not trained, the prediction alone. May be called while `fit` runs, and after `close`.
   */
  timeline(): Timeline {
    return new Timeline({
      modelName: this.model.name,
      plan: this.plan,
      recorded: this.#recorder.steps,
      predict: microBatchRows => predictPlan(this.#runtime.plan, microBatchRows),
    });
  }

  /**
   * What every layer costs on this machine: times of its passes for two sizes of micro-batch, and bytes. Measured in the
   * workers, all at once, in a few seconds, unless it was measured before (see the option `cache`).
   */
  profile(): Promise<ModelProfile> {
    return this.#gate.run('profile', new StopRequest(), async () => {
      await this.#runtime.prepare();
      const sizes = await this.#runtime.profile();
      const { pool, plan } = this.#runtime;
      return describeProfile(sizes, plan.cut.graph, this.plan, pool.workerCount);
    });
  }

  /** Tensors alive in each worker. */
  memory(): Promise<readonly { readonly tensorCount: number; readonly tensorBytes: number }[]> {
    return this.#gate.run('memory', new StopRequest(), async () => {
      await this.#runtime.prepare();
      return this.#runtime.memory();
    });
  }

  /** Stops whatever runs, ends the workers, and completes `events$`. May be called more than once. */
  async close(): Promise<void> {
    await this.#gate.close(() => this.#runtime.close());
    this.#events$.complete();
  }

  /** What `await using` calls: `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What both ways of fitting have around them: the signal, the progress, and the model's own marks. */
  async #train(
    what: string,
    args: Pick<FitArgs, 'signal' | 'verbose'>,
    task: (context: FitContext) => Promise<tf.History>,
  ): Promise<tf.History> {
    checkArgs(what, args);
    const stop = new StopRequest(checkSignal(args.signal));
    // Around the gate: the signal may outlive many fits, those that the gate turns away too.
    try {
      return await this.#gate.run(what, stop, () => this.#trainMarked(what, stop, args, task));
    } finally {
      stop.dispose();
    }
  }

  async #trainMarked(
    what: string,
    stop: StopRequest,
    { verbose }: Pick<FitArgs, 'verbose'>,
    task: (context: FitContext) => Promise<tf.History>,
  ): Promise<tf.History> {
    if (isTraining(this.model)) {
      throw new StateError(`${what}() was called while the model is being trained by another fit().`);
    }
    stop.throwIfRequested();
    setTraining(this.model, true);
    // Of its own, so that it does not count as somebody who wants the actions of every step.
    const shown$ = new Subject<TrainerEvent>();
    const isVerbose = verbose === 1 || verbose === 2;
    const progress =
      this.#showProgress?.({ events$: shown$ }) ??
      (isVerbose ? showProgress({ events$: shown$ }, { lines: verbose === 2 }) : undefined);
    try {
      await this.#runtime.prepare();
      return await task(this.#context(stop, progress && shown$));
    } catch (error) {
      // What a stage threw is told as a failure.
      if (!(error instanceof StageError)) this.#events$.next({ kind: 'aborted', error });
      throw error;
    } finally {
      progress?.unsubscribe();
      setTraining(this.model, false);
    }
  }

  #context(stop: StopRequest, shown$?: Subject<TrainerEvent>): FitContext {
    const emit = (event: TrainerEvent): void => {
      if (event.kind === 'step') this.#recorder.describe(event.step, event);
      shown$?.next(event);
      this.#events$.next(event);
    };
    const warn: Warn = (code, message, place = {}) => {
      // As tfjs does, where nobody would hear it otherwise.
      if (shown$ === undefined && !this.#events$.observed) console.warn(`Millrace: ${message}`);
      emit({ kind: 'warning', code, message, ...place });
    };
    return {
      model: this.model,
      runtime: this.#runtime,
      seed: this.#seed,
      fits: this.#fits,
      emit,
      warn,
      isObserved: () => this.#events$.observed,
      recorder: this.#recorder,
      steps: this.#steps,
      stop,
    };
  }

  get #owner(): { readonly model: tf.LayersModel; readonly compile: Runtime['compile'] } {
    return { model: this.model, compile: this.#runtime.compile };
  }
}

function toScalars(values: readonly number[]): tf.Scalar | tf.Scalar[] {
  const scalars = values.map(value => tf.scalar(value));
  return scalars.length === 1 ? scalars[0]! : scalars;
}
