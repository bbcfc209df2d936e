/**
 * The training loop: tfjs's epochs and mini-batches with its callbacks, logs and history, over a pipeline.
 *
 * While no callback looks at batches, mini-batch k+1 is handed out before the report of k has come back, so that the first
 * stages never wait for the last. A callback that does look at them is called between mini-batches, with the model's
 * weights brought up to date before, exactly as in tfjs.
 */

import { finalize, lastValueFrom, tap } from 'rxjs';
import { tf } from '../../../tf.js';
import {
  allowTraining,
  compiled,
  isTrainingStopped,
  learningRateOf,
  setHistory,
} from '../../../tfjs/internals.js';
import { type Callback, EpochMeans, type Logs, watchesBatches, watchesEpochs } from '../callbacks.js';
import type { TrainerEvent, Warn } from '../events.js';
import { logNames, logValues, namedLogs } from '../logs.js';
import type { MiniBatch } from '../mini-batch.js';
import { ReportQueue } from '../report-queue.js';
import type { StepReport } from '../run.js';
import { runBatches } from '../run-batches.js';
import type { Runtime } from '../runtime.js';
import type { StepRecorder } from '../step-recorder.js';
import type { StopRequest } from '../stop-request.js';
import { applySchedule, type LearningRateSchedule } from './learning-rate.js';
import { NanWatch } from './nan-watch.js';
import type { TrainingSource } from './source.js';
import type { Validation } from './validation.js';

export interface FitContext {
  readonly model: tf.LayersModel;
  readonly runtime: Runtime;
  readonly seed: number;
  /** Counts the trainer's fits. */
  readonly fits: { count: number };
  readonly emit: (event: TrainerEvent) => void;
  readonly warn: Warn;
  /** Whether anybody listens to the events: if not, the actions of a step are not listed. */
  readonly isObserved: () => boolean;
  readonly recorder: StepRecorder;
  /** Counts the trainer's training steps. */
  readonly steps: { count: number };
  /** Fires when nobody wants the result any more. */
  readonly stop: StopRequest;
}

export interface FitTask {
  readonly source: TrainingSource;
  readonly validation: Validation | undefined;
  readonly epochs: number;
  readonly initialEpoch: number;
  readonly verbose: number;
  readonly callbacks: readonly Callback[];
  readonly terminateOnNaN: boolean;
  readonly learningRateSchedule: LearningRateSchedule | undefined;
}

export class FitLoop {
  readonly #context: FitContext;
  readonly #task: FitTask;
  readonly #names: readonly string[];
  readonly #history = new tf.History();
  /** The user's callbacks, then the history. */
  readonly #callbacks: readonly Callback[];
  readonly #watchesBatches: boolean;
  readonly #watchesEpochs: boolean;
  readonly #nanWatch: NanWatch;
  /** Steps that the optimizer has taken before this fit, and in it. */
  #optimizerSteps: number;
  /** Reports of the epoch that callbacks have seen. */
  #handled = 0;
  /** Whether the source has given all mini-batches of the epoch. */
  #isEpochComplete = false;

  constructor(context: FitContext, task: FitTask) {
    const { model, runtime, warn } = context;
    this.#context = context;
    this.#task = task;
    this.#names = logNames(model);
    this.#callbacks = [...task.callbacks, this.#history as unknown as Callback];
    this.#watchesBatches = watchesBatches(task.callbacks);
    this.#watchesEpochs = watchesEpochs(task.callbacks);
    this.#nanWatch = new NanWatch(() => runtime.plan.cut, runtime.compile, warn);
    this.#optimizerSteps = this.#optimizer.iterations;
  }

  async run(): Promise<tf.History> {
    const { model, runtime, emit, stop } = this.#context;
    const { source, epochs, initialEpoch } = this.#task;
    this.#introduceCallbacks();
    setHistory(model, this.#history);
    await this.#call(callback => callback.onTrainBegin({}));
    await runtime.pushChangedWeights();
    allowTraining(model);
    const { stepsPerEpoch, samplesPerEpoch: samples } = source;
    emit({ kind: 'train-begin', epochs, stepsPerEpoch, samples });
    for (let epoch = initialEpoch; epoch < epochs && !this.#isStopped; epoch++) await this.#runEpoch(epoch);
    // Torn down half-way the stages stand at different steps: the model keeps the weights that belong together.
    if (stop.isTornDown) stop.throwIfRequested();
    if (stop.isRequested) {
      // The stages stand at the same step of an epoch that has not ended.
      await this.#pull();
      stop.throwIfRequested();
    }
    await this.#call(callback => callback.onTrainEnd({}));
    emit({ kind: 'train-end', stopped: this.#isStopped });
    return this.#history;
  }

  async #runEpoch(epoch: number): Promise<void> {
    const { runtime, emit, stop } = this.#context;
    const { source } = this.#task;
    await this.#call(callback => callback.onEpochBegin(epoch, {}));
    if (this.#watchesEpochs) await runtime.pushChangedWeights();
    emit({ kind: 'epoch-begin', epoch });
    const means = new EpochMeans();
    const reports = await this.#train(epoch, means);
    if (stop.isRequested) return;
    // The last reports are looked at out here, where the workers are free to validate before the last batch's callbacks.
    const epochLogs: Logs = {};
    for (let report = reports.take(); report !== undefined; report = reports.take()) {
      const isLast = reports.isEmpty && this.#isEpochComplete;
      if (isLast && source.validatesEarly) await this.#validate(epochLogs);
      if (stop.isRequested) return;
      await this.#finishBatch(epoch, report, means);
    }
    if (this.#isEpochComplete && !source.validatesEarly) await this.#validate(epochLogs);
    if (stop.isRequested) return;
    means.writeTo(epochLogs, this.#names);
    await this.#pull();
    emit({ kind: 'epoch-end', epoch, logs: { ...epochLogs } });
    await this.#call(callback => callback.onEpochEnd(epoch, epochLogs));
    if (this.#watchesEpochs) await runtime.pushChanges();
  }

  /** At the end of every epoch, asked for or not: of a fit that fails later, the model keeps the epochs before. */
  async #pull(): Promise<void> {
    await this.#context.runtime.pullWeights();
    await this.#context.runtime.pullOptimizer();
  }

  /** Runs the epoch's mini-batches; gives back the reports of the last ones, which are still to be looked at. */
  async #train(epoch: number, means: EpochMeans): Promise<ReportQueue<StepReport>> {
    const { runtime, steps, stop } = this.#context;
    const reports = new ReportQueue<StepReport>();
    const run$ = runBatches({
      runtime,
      mode: 'train',
      source: this.#miniBatches(epoch, reports, means),
      recordActions: () => this.#context.isObserved(),
      tuning: {
        remainingSteps: () => this.#remainingSteps(epoch),
        warn: error => this.#warnOfTuning(error),
      },
      recorder: this.#context.recorder,
      describeStep: () => ({ number: steps.count++, learningRate: learningRateOf(this.#optimizer) }),
    });
    await lastValueFrom(
      run$.pipe(
        tap({ next: report => reports.push(report), error: error => reports.fail(error) }),
        stop.guard(),
        finalize(() => reports.close()),
      ),
      { defaultValue: undefined },
    );
    return reports;
  }

  #warnOfTuning(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.#context.warn(
      'STAGES_NOT_MEASURED',
      `Plans with stages were not looked at, since the model's layers could not be measured: ${why}`,
    );
  }

  #remainingSteps(epoch: number): number | undefined {
    const { source, epochs } = this.#task;
    const { stepsPerEpoch } = source;
    return stepsPerEpoch === undefined ? undefined : stepsPerEpoch * (epochs - epoch) - this.#handled;
  }

  /** Yields the epoch's mini-batches; between them it calls the callbacks for the reports that have come back. */
  async *#miniBatches(
    epoch: number,
    reports: ReportQueue<StepReport>,
    means: EpochMeans,
  ): AsyncGenerator<MiniBatch, void, undefined> {
    const { source, learningRateSchedule } = this.#task;
    const ahead = this.#watchesBatches ? 0 : 1;
    const batches = source.epoch(epoch);
    this.#handled = 0;
    this.#isEpochComplete = false;
    try {
      for (let batch = 0; ; batch++) {
        const isEnd = batch === source.endsAt;
        // Where validation comes before the last report, that one is left to `#runEpoch`.
        while (!(isEnd && source.validatesEarly) && this.#handled < batch - ahead) {
          await this.#finishBatch(epoch, await reports.next(), means);
        }
        if (isEnd) this.#isEpochComplete = true;
        // As in tfjs, `stopTraining` counts once a batch is trained.
        if (batch === 0 ? this.#context.stop.isRequested : this.#isStopped) return;
        const next = await batches.next();
        if (next.done === true) {
          this.#isEpochComplete = next.value;
          return;
        }
        const { rows } = next.value;
        await this.#call(callback => callback.onBatchBegin(batch, source.logsAtBegin(batch, rows.length)));
        if (this.#watchesBatches) await this.#context.runtime.pushChangedWeights();
        const step = this.#optimizerSteps++;
        if (learningRateSchedule !== undefined) {
          applySchedule(learningRateSchedule, this.#optimizer, { epoch, batch, step });
        }
        yield next.value;
      }
    } finally {
      await batches.return(false);
    }
  }

  async #finishBatch(epoch: number, report: StepReport, means: EpochMeans): Promise<void> {
    const { model, runtime, emit } = this.#context;
    const { number: step, rows, sums, actions } = report;
    const values = namedLogs(this.#names, logValues(runtime.compile, sums, rows));
    const batch = this.#handled++;
    emit({ kind: 'step', epoch, batch, step, rows, logs: values, actions });
    if (this.#nanWatch.look({ epoch, batch, step, sums }) && this.#task.terminateOnNaN) {
      model.stopTraining = true;
    }
    const logs: Logs = { batch, size: rows, ...values };
    means.add(logs);
    if (this.#watchesBatches) await runtime.pullWeights();
    await this.#call(callback => callback.onBatchEnd(batch, logs));
    if (this.#watchesBatches) await runtime.pushChangedWeights();
  }

  async #validate(epochLogs: Logs): Promise<void> {
    const { validation } = this.#task;
    if (validation === undefined) return;
    const values = await validation(this.#context);
    for (const [index, name] of this.#names.entries()) epochLogs[`val_${name}`] = values[index]!;
  }

  #introduceCallbacks(): void {
    const { source, epochs, verbose, validation } = this.#task;
    const doValidation = validation !== undefined;
    const metrics = doValidation
      ? [...this.#names, ...this.#names.map(name => `val_${name}`)]
      : [...this.#names];
    for (const callback of this.#callbacks) {
      callback.setParams({ epochs, ...source.params, verbose, doValidation, metrics });
      callback.setModel(this.#context.model);
    }
  }

  async #call(hook: (callback: Callback) => Promise<void>): Promise<void> {
    for (const callback of this.#callbacks) await hook(callback);
  }

  get #optimizer(): tf.Optimizer {
    return compiled(this.#context.model).optimizer_!;
  }

  get #isStopped(): boolean {
    return this.#context.stop.isRequested || isTrainingStopped(this.#context.model);
  }
}
