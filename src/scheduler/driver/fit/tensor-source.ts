/** Mini-batches of samples in memory, shuffled anew every epoch. */
import { ConfigurationError } from '../../../errors.js';
import type { UserData } from '../data/user-data.js';
import type { MiniBatch } from '../mini-batch.js';
import { epochOrder } from '../shuffle.js';
import type { TrainingSource } from './source.js';

export interface TensorSourceOptions {
  readonly data: UserData;
  readonly batchSize: number;
  readonly shuffle: boolean;
  readonly seed: number;
  /** Fits of this trainer before this one. */
  readonly fit: number;
  readonly initialEpoch: number;
  /** Ends an epoch after so many mini-batches. */
  readonly stepsPerEpoch: number | undefined;
}

export class TensorSource implements TrainingSource {
  readonly stepsPerEpoch: number;
  readonly endsAt: number;
  readonly samplesPerEpoch: number;
  readonly params: TrainingSource['params'];
  readonly validatesEarly = true;
  readonly #options: TensorSourceOptions;

  constructor(options: TensorSourceOptions) {
    const { data, batchSize, initialEpoch, stepsPerEpoch } = options;
    const { sampleCount } = data;
    const available = Math.ceil(sampleCount / batchSize);
    if (stepsPerEpoch !== undefined && stepsPerEpoch > available) {
      throw new ConfigurationError(
        'stepsPerEpoch',
        `'stepsPerEpoch' is ${stepsPerEpoch}, but ${sampleCount} samples make ${available} mini-batches of ${batchSize}.`,
      );
    }
    this.#options = options;
    this.stepsPerEpoch = stepsPerEpoch ?? available;
    this.endsAt = this.stepsPerEpoch;
    this.samplesPerEpoch = Math.min(sampleCount, this.stepsPerEpoch * batchSize);
    this.params = { initialEpoch, samples: sampleCount, steps: stepsPerEpoch ?? null, batchSize };
  }

  logsAtBegin(): Record<string, number> {
    return {};
  }

  async *epoch(epoch: number): AsyncGenerator<MiniBatch, boolean, undefined> {
    const { data, batchSize, shuffle, seed, fit } = this.#options;
    const order = epochOrder(data.sampleCount, shuffle, seed, epoch, fit);
    for (let batch = 0; batch < this.stepsPerEpoch; batch++) {
      yield { ...data, rows: order.subarray(batch * batchSize, (batch + 1) * batchSize) };
    }
    return true;
  }

  async close(): Promise<void> {}
}
