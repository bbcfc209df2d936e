/**
 * Mini-batches that a dataset gives. Without `batchesPerEpoch` every epoch reads the dataset from its beginning to its end; with
 * it, epochs take so many each from one long reading, as in tfjs.
 */
import { ConfigurationError } from '../../../errors.js';
import { type ClassWeight, standardizeClassWeights } from '../data/class-weights.js';
import { isRestartable, sizeOf, type UserDataset } from '../data/dataset.js';
import { DatasetReader } from '../data/dataset-reader.js';
import type { DataOwner } from '../data/user-data.js';
import type { Warn } from '../events.js';
import type { MiniBatch } from '../mini-batch.js';
import type { StopRequest } from '../stop-request.js';
import type { TrainingSource } from './source.js';

export interface DatasetSourceOptions {
  readonly owner: DataOwner;
  readonly dataset: UserDataset;
  readonly epochs: number;
  readonly initialEpoch: number;
  readonly batchesPerEpoch: number | undefined;
  readonly classWeight: unknown;
  readonly stop: StopRequest;
  readonly warn: Warn;
}

export class DatasetSource implements TrainingSource {
  readonly stepsPerEpoch: number | undefined;
  readonly endsAt: number | undefined;
  readonly samplesPerEpoch = undefined;
  readonly params: TrainingSource['params'];
  readonly validatesEarly = false;
  readonly #options: DatasetSourceOptions;
  readonly #classWeights: readonly (ClassWeight | undefined)[];
  #reader: DatasetReader | undefined;

  constructor(options: DatasetSourceOptions) {
    const { owner, dataset, epochs, initialEpoch, batchesPerEpoch, classWeight } = options;
    if (batchesPerEpoch === undefined && epochs - initialEpoch > 1 && !isRestartable(dataset)) {
      throw new ConfigurationError(
        'dataset',
        `A generator object can be read only once, but ${epochs - initialEpoch} epochs are to be trained. Pass the generator ` +
          "function itself, which every epoch calls anew, or say 'batchesPerEpoch'.",
      );
    }
    this.#options = options;
    this.#classWeights = standardizeClassWeights(
      classWeight,
      owner.compile.outputs.map(({ name }) => name),
    );
    this.stepsPerEpoch = batchesPerEpoch ?? sizeOf(dataset);
    this.endsAt = batchesPerEpoch;
    this.params = { initialEpoch: null, samples: null, steps: this.stepsPerEpoch ?? null, batchSize: null };
  }

  logsAtBegin(batch: number, rows: number): Record<string, number> {
    return { batch, size: rows };
  }

  async *epoch(epoch: number): AsyncGenerator<MiniBatch, boolean, undefined> {
    const { batchesPerEpoch, owner, dataset, stop } = this.#options;
    if (batchesPerEpoch === undefined) await this.close();
    this.#reader ??= await DatasetReader.open('dataset', dataset, owner, stop);
    let batches = 0;
    while (batches !== batchesPerEpoch) {
      const batch = await this.#reader.read(`batch ${batches} of epoch ${epoch}`, this.#classWeights);
      if (batch === undefined) break;
      yield batch;
      batches += 1;
    }
    if (stop.isRequested) return false;
    if (batches !== batchesPerEpoch) this.#warnOfEnd(epoch, batches);
    return batchesPerEpoch === undefined || batches === batchesPerEpoch;
  }

  /** The dataset gave less than was asked for. tfjs ends the epoch there, without validating it. */
  #warnOfEnd(epoch: number, batches: number): void {
    const { batchesPerEpoch, epochs, warn } = this.#options;
    if (batchesPerEpoch !== undefined) {
      warn(
        'DATASET_ENDED',
        `The dataset ended after ${batches} of the ${batchesPerEpoch} mini-batches of epoch ${epoch}: batchesPerEpoch times ` +
          `epochs asks for ${batchesPerEpoch * epochs} in all. dataset.repeat() makes one that does not end.`,
        { epoch },
      );
    } else if (batches === 0) {
      warn('DATASET_EMPTY', `The dataset gave no mini-batch in epoch ${epoch}: nothing was trained in it.`, {
        epoch,
      });
    }
  }

  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    await reader?.close();
  }
}
