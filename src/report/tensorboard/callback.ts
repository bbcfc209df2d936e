/** The callback that writes what `fit` logs for TensorBoard. */
import { join } from 'node:path';
import { ConfigurationError } from '../../errors.js';
import { READS_WEIGHTS } from '../../scheduler/driver/callbacks.js';
import { tf } from '../../tf.js';
import type { Summary } from './event.js';
import { EventFile } from './event-file.js';
import { bucketsOf } from './histogram.js';

/** What and how often `tensorBoard()` writes; the same options as tfjs-node's callback. */
export interface TensorBoardOptions {
  /** When losses and metrics are written: after every epoch, or after every mini-batch as well. Default `'epoch'`. */
  readonly updateFreq?: 'epoch' | 'batch';
  /** Histograms of all weights after every n-th epoch, the first included. Default 0: none. */
  readonly histogramFreq?: number;
}

/** Logs that are no losses or metrics. */
const NOT_LOGGED: ReadonlySet<string> = new Set(['batch', 'size', 'num_steps']);
const VALIDATION_PREFIX = 'val_';

class TensorBoardCallback extends tf.CustomCallback {
  readonly [READS_WEIGHTS]: 'never' | 'after-epochs';
  readonly #logDirectory: string;
  readonly #training: EventFile;
  readonly #validation: EventFile;
  #model: tf.LayersModel | undefined;
  #batchesSeen = 0;

  constructor(logDirectory: string, { updateFreq, histogramFreq }: Required<TensorBoardOptions>) {
    super({
      ...(updateFreq === 'batch' && {
        onBatchEnd: async (_batch: number, logs?: tf.Logs) => {
          this.#batchesSeen++;
          await this.#writeLogs('batch_', this.#batchesSeen, logs);
        },
      }),
      onEpochEnd: async (epoch: number, logs?: tf.Logs) => {
        await this.#writeLogs('epoch_', epoch + 1, logs);
        if (histogramFreq > 0 && epoch % histogramFreq === 0) await this.#writeWeights(epoch);
      },
    });
    this[READS_WEIGHTS] = histogramFreq > 0 ? 'after-epochs' : 'never';
    this.#logDirectory = logDirectory;
    this.#training = new EventFile(join(logDirectory, 'train'));
    this.#validation = new EventFile(join(logDirectory, 'val'));
  }

  override setModel(model: Parameters<tf.CustomCallback['setModel']>[0]): void {
    super.setModel(model);
    this.#model = model as tf.LayersModel;
  }

  async #writeLogs(prefix: string, step: number, logs: tf.Logs = {}): Promise<void> {
    const training: Summary[] = [];
    const validation: Summary[] = [];
    for (const [name, value] of Object.entries(logs)) {
      if (NOT_LOGGED.has(name)) continue;
      const isValidation = name.startsWith(VALIDATION_PREFIX);
      const tag = prefix + (isValidation ? name.slice(VALIDATION_PREFIX.length) : name);
      (isValidation ? validation : training).push({ kind: 'scalar', tag, value });
    }
    await this.#write(this.#training, step, training);
    await this.#write(this.#validation, step, validation);
  }

  async #writeWeights(step: number): Promise<void> {
    const histograms: Summary[] = [];
    for (const weight of this.#model?.weights ?? []) {
      const values = (await weight.read().data()) as Float32Array | Int32Array;
      histograms.push({ kind: 'histogram', tag: weight.name, buckets: bucketsOf(values) });
    }
    await this.#write(this.#training, step, histograms);
  }

  async #write(file: EventFile, step: number, summaries: readonly Summary[]): Promise<void> {
    if (summaries.length === 0) return;
    try {
      await file.append(step, summaries);
    } catch (error) {
      throw new ConfigurationError(
        'logDirectory',
        `tensorBoard() cannot write to '${this.#logDirectory}': ${(error as Error).message}`,
        { cause: error },
      );
    }
  }
}

/**
 * A callback for `fit` and `fitDataset`, of a trainer or of a plain tfjs model, that writes losses, metrics and, if asked,
 * histograms of the weights for TensorBoard: `tensorboard --logdir <logDirectory>` shows them. It lays them out as the
 * callback of tfjs-node does, in the folders `train` and `val`, and needs no native backend.
 *
 * A trainer does not wait for this callback between mini-batches, as it does for one that may read weights there.
 *
 * @param logDirectory made if there is none; logs of an earlier training are kept beside the new ones
 * @throws ConfigurationError for options that are unknown or ill-typed; while training, for a directory that cannot be
 *   written to
 */
export function tensorBoard(logDirectory = './logs', options: TensorBoardOptions = {}): tf.CustomCallback {
  if (typeof logDirectory !== 'string' || logDirectory === '') {
    throw new ConfigurationError(
      'logDirectory',
      `tensorBoard() takes the path of a directory, but got ${JSON.stringify(logDirectory)}.`,
    );
  }
  return new TensorBoardCallback(logDirectory, checked(options));
}

function checked(options: TensorBoardOptions): Required<TensorBoardOptions> {
  if (typeof options !== 'object' || options === null) {
    throw new ConfigurationError('options', `tensorBoard() takes an object of options, but got ${options}.`);
  }
  const { updateFreq = 'epoch', histogramFreq = 0, ...unknown } = options;
  const [key] = Object.keys(unknown);
  if (key !== undefined) {
    throw new ConfigurationError(
      key,
      `Unknown option '${key}' of tensorBoard(). Options are updateFreq, histogramFreq.`,
    );
  }
  if (updateFreq !== 'epoch' && updateFreq !== 'batch') {
    throw new ConfigurationError(
      'updateFreq',
      `Option 'updateFreq' takes 'epoch' or 'batch', but got ${JSON.stringify(updateFreq)}.`,
    );
  }
  if (!Number.isInteger(histogramFreq) || histogramFreq < 0) {
    throw new ConfigurationError(
      'histogramFreq',
      `Option 'histogramFreq' takes a whole number of at least 0, but got ${JSON.stringify(histogramFreq)}.`,
    );
  }
  return { updateFreq, histogramFreq };
}
