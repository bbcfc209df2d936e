/**
 * The training loop: tfjs's `fit` with its callbacks, logs and history, over a pipeline.
 *
 * While no callback looks at batches, mini-batch k+1 is handed out before the report of k has come back, so that the first
 * stages never wait for the last. A callback that does look at them is called between mini-batches, with the model's
 * weights brought up to date before, exactly as in tfjs.
 */
import * as tf from '@tensorflow/tfjs';
import { finalize, lastValueFrom, tap } from 'rxjs';
import { ConfigurationError } from '../../errors.js';
import {
  allowTraining,
  compiled,
  isTrainingStopped,
  learningRateOf,
  setHistory,
} from '../../tfjs/internals.js';
import {
  type Callback,
  EpochMeans,
  type Logs,
  standardizeCallbacks,
  type UserCallbacks,
  watchesBatches,
  watchesEpochs,
} from './callbacks.js';
import { evaluateSamples } from './evaluate.js';
import type { TrainerEvent } from './events.js';
import { logNames, logValues, namedLogs } from './logs.js';
import { geometryOf, type MiniBatch } from './mini-batch.js';
import { ReportQueue } from './report-queue.js';
import { runSession, type StepReport } from './run.js';
import type { Runtime } from './runtime.js';
import { epochOrder } from './shuffle.js';
import type { StopRequest } from './stop-request.js';
import { evaluationData, sliceSamples, trainingData, type UserData } from './user-data.js';

/** What `fit` takes: tfjs's arguments, and a signal that stops it. */
export type FitArgs = Omit<
  tf.ModelFitArgs,
  'callbacks' | 'sampleWeight' | 'stepsPerEpoch' | 'validationSteps'
> & {
  callbacks?: UserCallbacks;
  signal?: AbortSignal;
};

export interface FitContext {
  readonly model: tf.LayersModel;
  readonly runtime: Runtime;
  readonly seed: number;
  readonly emit: (event: TrainerEvent) => void;
  /** Whether anybody listens to the events: if not, the actions of a step are not listed. */
  readonly isObserved: () => boolean;
  /** Counts the trainer's training steps. */
  readonly steps: { count: number };
  /** Fires when nobody wants the result any more. */
  readonly stop: StopRequest;
}

export async function fitModel(
  context: FitContext,
  x: unknown,
  y: unknown,
  args: FitArgs,
): Promise<tf.History> {
  const { model } = context;
  const batchSize = args.batchSize ?? 32;
  checkCounts(args, batchSize);
  const callbacks = standardizeCallbacks(args.callbacks, args.yieldEvery);
  const all = await trainingData(model, x, y, args.classWeight, batchSize);
  const { training, validation } = await withValidation(model, all, args, batchSize);
  const loop = new FitLoop(context, { args, batchSize, callbacks, training, validation });
  return loop.run();
}

interface FitTask {
  readonly args: FitArgs;
  readonly batchSize: number;
  readonly callbacks: readonly Callback[];
  readonly training: UserData;
  readonly validation: UserData | undefined;
}

class FitLoop {
  readonly #context: FitContext;
  readonly #task: FitTask;
  readonly #names: readonly string[];
  readonly #history = new tf.History();
  /** The user's callbacks, then the history. */
  readonly #callbacks: readonly Callback[];
  readonly #watchesBatches: boolean;
  readonly #watchesEpochs: boolean;

  constructor(context: FitContext, task: FitTask) {
    this.#context = context;
    this.#task = task;
    this.#names = logNames(context.model);
    this.#callbacks = [...task.callbacks, this.#history as unknown as Callback];
    this.#watchesBatches = watchesBatches(task.callbacks);
    this.#watchesEpochs = watchesEpochs(task.callbacks);
  }

  async run(): Promise<tf.History> {
    const { model, runtime, emit, stop } = this.#context;
    const { args, training } = this.#task;
    const { epochs = 1, initialEpoch = 0 } = args;
    this.#introduceCallbacks(epochs, initialEpoch);
    setHistory(model, this.#history);
    await this.#call(callback => callback.onTrainBegin());
    await runtime.pushChangedWeights();
    allowTraining(model);
    const stepsPerEpoch = Math.ceil(training.sampleCount / this.#task.batchSize);
    emit({ kind: 'train-begin', epochs, stepsPerEpoch, samples: training.sampleCount });
    for (let epoch = initialEpoch; epoch < epochs && !this.#isStopped; epoch++) await this.#runEpoch(epoch);
    // Torn down half-way the stages stand at different steps: the model keeps the weights that belong together.
    if (this.#context.stop.isTornDown) this.#context.stop.throwIfRequested();
    // Without a callback that wanted them earlier, this is the one time that weights come back.
    if (!stop.isTornDown) {
      await runtime.pullWeights();
      await runtime.pullOptimizer();
    }
    stop.throwIfRequested();
    await this.#call(callback => callback.onTrainEnd());
    emit({ kind: 'train-end', stopped: this.#isStopped });
    return this.#history;
  }

  async #runEpoch(epoch: number): Promise<void> {
    const { runtime, emit, seed, stop } = this.#context;
    const { args, training, batchSize, validation } = this.#task;
    await this.#call(callback => callback.onEpochBegin(epoch));
    if (this.#watchesEpochs) await runtime.pushChangedWeights();
    emit({ kind: 'epoch-begin', epoch });
    const order = epochOrder(training.sampleCount, (args.shuffle ?? true) !== false, seed, epoch);
    const means = new EpochMeans();
    const reports = new ReportQueue<StepReport>();
    const session = await runtime.session(
      geometryOf('train', training, batchSize, runtime.plan.microBatchCount),
    );
    const run$ = runSession({
      session,
      cut: runtime.plan.cut,
      source: this.#miniBatches(epoch, order, reports, means),
      recordActions: () => this.#context.isObserved(),
      describeStep: () => ({
        number: this.#context.steps.count++,
        learningRate: learningRateOf(compiled(this.#context.model).optimizer_!),
      }),
    });
    await lastValueFrom(
      run$.pipe(
        tap({ next: report => reports.push(report), error: error => reports.fail(error) }),
        stop.guard(),
        finalize(() => reports.close()),
      ),
      { defaultValue: undefined },
    );
    if (stop.isRequested) return;
    // The last report is looked at out here: validation runs before the last batch's callbacks, and the workers are free.
    const epochLogs: Logs = {};
    for (let report = reports.take(); report !== undefined; report = reports.take()) {
      const isLast = reports.isEmpty && this.#handled === Math.ceil(order.length / batchSize) - 1;
      if (isLast && validation !== undefined) await this.#validate(validation, epochLogs);
      if (stop.isRequested) return;
      await this.#finishBatch(epoch, report, means);
    }
    means.writeTo(epochLogs, this.#names);
    if (this.#watchesEpochs) await runtime.pullWeights();
    emit({ kind: 'epoch-end', epoch, logs: { ...epochLogs } });
    await this.#call(callback => callback.onEpochEnd(epoch, epochLogs));
    if (this.#watchesEpochs) await runtime.pushChangedWeights();
  }

  /** Reports of the epoch that callbacks have seen. */
  #handled = 0;

  /** Yields the epoch's mini-batches; between them it calls the callbacks for the reports that have come back. */
  async *#miniBatches(
    epoch: number,
    order: Uint32Array,
    reports: ReportQueue<StepReport>,
    means: EpochMeans,
  ): AsyncGenerator<MiniBatch> {
    const { batchSize, training } = this.#task;
    const ahead = this.#watchesBatches ? 0 : 1;
    const batchCount = Math.ceil(order.length / batchSize);
    this.#handled = 0;
    for (let batch = 0; batch < batchCount; batch++) {
      while (this.#handled < batch - ahead) await this.#finishBatch(epoch, await reports.next(), means);
      if (this.#isStopped) return;
      await this.#call(callback => callback.onBatchBegin(batch, {}));
      if (this.#watchesBatches) await this.#context.runtime.pushChangedWeights();
      const rows = order.subarray(batch * batchSize, (batch + 1) * batchSize);
      yield { ...training, rows };
    }
  }

  async #finishBatch(epoch: number, report: StepReport, means: EpochMeans): Promise<void> {
    const { runtime, emit } = this.#context;
    const values = namedLogs(this.#names, logValues(runtime.compile, report.sums, report.rows));
    const batch = this.#handled++;
    emit({
      kind: 'step',
      epoch,
      batch,
      step: report.number,
      rows: report.rows,
      logs: values,
      actions: report.actions,
    });
    const logs: Logs = { batch, size: report.rows, ...values };
    means.add(logs);
    if (this.#watchesBatches) await runtime.pullWeights();
    await this.#call(callback => callback.onBatchEnd(batch, logs));
    if (this.#watchesBatches) await runtime.pushChangedWeights();
  }

  async #validate(validation: UserData, epochLogs: Logs): Promise<void> {
    const { runtime } = this.#context;
    const values = await evaluateSamples(runtime, validation, this.#task.batchSize, this.#context.stop);
    for (const [index, name] of this.#names.entries()) epochLogs[`val_${name}`] = values[index]!;
  }

  #introduceCallbacks(epochs: number, initialEpoch: number): void {
    const { args, batchSize, training, validation } = this.#task;
    const doValidation = validation !== undefined;
    const metrics = doValidation
      ? [...this.#names, ...this.#names.map(name => `val_${name}`)]
      : [...this.#names];
    const params = {
      epochs,
      initialEpoch,
      samples: training.sampleCount,
      steps: null,
      batchSize,
      verbose: args.verbose ?? 1,
      doValidation,
      metrics,
    };
    for (const callback of this.#callbacks) {
      callback.setParams(params);
      callback.setModel(this.#context.model);
    }
  }

  async #call(hook: (callback: Callback) => Promise<void>): Promise<void> {
    for (const callback of this.#callbacks) await hook(callback);
  }

  get #isStopped(): boolean {
    return this.#context.stop.isRequested || isTrainingStopped(this.#context.model);
  }
}

async function withValidation(
  model: tf.LayersModel,
  all: UserData,
  args: FitArgs,
  batchSize: number,
): Promise<{ training: UserData; validation: UserData | undefined }> {
  const { validationData, validationSplit } = args;
  if (validationData !== undefined && validationData !== null) {
    if (!Array.isArray(validationData) || validationData.length !== 2) {
      throw new ConfigurationError(
        'validationData',
        'validationData takes a list of two: [valX, valY]. Sample weights for validation are not supported by tfjs either.',
      );
    }
    const [valX, valY] = validationData as unknown[];
    try {
      return { training: all, validation: await evaluationData(model, valX, valY, batchSize) };
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      throw new ConfigurationError('validationData', `validationData: ${error.message}`, { cause: error });
    }
  }
  if (validationSplit === undefined || validationSplit === 0) return { training: all, validation: undefined };
  if (!(validationSplit > 0 && validationSplit < 1)) {
    throw new ConfigurationError(
      'validationSplit',
      `validationSplit takes a number between 0 and 1, got ${validationSplit}.`,
    );
  }
  // As in tfjs: the tail, taken before any shuffling.
  const splitAt = Math.floor(all.sampleCount * (1 - validationSplit));
  if (splitAt === 0 || splitAt === all.sampleCount) {
    throw new ConfigurationError(
      'validationSplit',
      `validationSplit ${validationSplit} of ${all.sampleCount} samples leaves nothing to ${splitAt === 0 ? 'train' : 'validate'} on.`,
    );
  }
  return {
    training: sliceSamples(all, 0, splitAt),
    validation: sliceSamples({ ...all, sampleWeights: [] }, splitAt, all.sampleCount),
  };
}

function checkCounts(args: FitArgs, batchSize: number): void {
  const { epochs = 1, initialEpoch = 0 } = args;
  for (const [name, value, least] of [
    ['batchSize', batchSize, 1],
    ['epochs', epochs, 1],
    ['initialEpoch', initialEpoch, 0],
  ] as const) {
    if (Number.isInteger(value) && value >= least) continue;
    throw new ConfigurationError(
      name,
      `'${name}' takes a whole number of at least ${least}, but got ${value}.`,
    );
  }
  const unsupported = ['sampleWeight', 'stepsPerEpoch', 'validationSteps'].find(
    key =>
      (args as Record<string, unknown>)[key] !== undefined && (args as Record<string, unknown>)[key] !== null,
  );
  if (unsupported === undefined) return;
  throw new ConfigurationError(
    unsupported,
    `'${unsupported}' is not supported by fit() on tensors, neither here nor in tfjs ${tf.version_core}.`,
  );
}
