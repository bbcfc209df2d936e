/** Where a fit takes its mini-batches from: tensors in memory, or a dataset. */
import type { MiniBatch } from '../mini-batch.js';

export interface TrainingSource {
  /** Mini-batches of an epoch, where that is known beforehand. */
  readonly stepsPerEpoch: number | undefined;
  /** Mini-batches after which an epoch ends without asking for another, where that is settled. */
  readonly endsAt: number | undefined;
  /** Samples of an epoch, where that is known beforehand. */
  readonly samplesPerEpoch: number | undefined;
  /** What tfjs tells callbacks: see `setParams`. */
  readonly params: {
    readonly initialEpoch: number | null;
    readonly samples: number | null;
    readonly steps: number | null;
    readonly batchSize: number | null;
  };
  /** `fit` validates before the last `onBatchEnd` of an epoch, `fitDataset` after it. */
  readonly validatesEarly: boolean;
  /** What `onBatchBegin` is told: nothing by `fit`, place and size by `fitDataset`. */
  logsAtBegin(batch: number, rows: number): Record<string, number>;
  /** The mini-batches of one epoch. Returns whether these were all of them, so that the epoch may be validated. */
  epoch(epoch: number): AsyncGenerator<MiniBatch, boolean, undefined>;
  close(): Promise<void>;
}
