/**
 * A mini-batch as the driver feeds it: rows of plain arrays, named by index, so that shuffling copies each sample once,
 * straight into shared memory.
 */
import { elementCount } from '../../protocol/message.js';
import type { TensorData, TensorHeader } from '../../protocol/tensor.js';
import type { SessionGeometry } from './session.js';

/** All samples of one model input or target. */
export interface SampleArray {
  /** Shape of one sample: without the batch axis. */
  readonly header: TensorHeader;
  readonly data: TensorData;
}

/** One weight a sample for each model output, or `undefined`: what the sample counts in that output's loss. */
export type SampleWeights = readonly (Float32Array | undefined)[];

export interface MiniBatch {
  /** Index of each sample in the arrays. */
  readonly rows: ArrayLike<number>;
  readonly inputs: readonly SampleArray[];
  /** One per model output; empty when predicting. */
  readonly targets: readonly SampleArray[];
  readonly sampleWeights: SampleWeights;
}

export function sampleSize({ header }: SampleArray): number {
  return elementCount(header.shape);
}

/** Copies samples `rows[start … start+count)` into `into`, one after another. */
export function gatherRows(
  source: SampleArray,
  rows: ArrayLike<number>,
  start: number,
  count: number,
  into: TensorData,
): void {
  const size = sampleSize(source);
  const { data } = source;
  for (let index = 0; index < count; index++) {
    const from = rows[start + index]! * size;
    into.set(data.subarray(from, from + size), index * size);
  }
}

/** Rows of each micro-batch: `microBatchRows` each, the last one what is left. */
export function splitRows(rows: number, microBatchRows: number): number[] {
  const sizes: number[] = [];
  for (let left = rows; left > 0; left -= microBatchRows) sizes.push(Math.min(left, microBatchRows));
  return sizes;
}

/**
 * The session that mini-batches of `batchSize` samples of this data need.
 *
 * @param parts micro-batches in all replicas together
 */
export function geometryOf(
  mode: SessionGeometry['mode'],
  data: Pick<MiniBatch, 'inputs' | 'targets'>,
  batchSize: number,
  parts: number,
): SessionGeometry {
  return {
    mode,
    microBatchRows: Math.ceil(batchSize / parts),
    inputs: data.inputs.map(({ header }) => header),
    targets: data.targets.map(({ header }) => header),
  };
}

/**
 * Gives every sample of `outputs` the mean weight of the mini-batch. Plain `fit` multiplies a loss that is one number for all
 * samples by their mean weight; each micro-batch must then use the mean of the whole.
 */
export function evenWeights(batch: MiniBatch, outputs: readonly number[]): MiniBatch {
  if (!outputs.some(output => batch.sampleWeights[output] !== undefined)) return batch;
  const sampleWeights = batch.sampleWeights.map((weights, output) => {
    if (weights === undefined || !outputs.includes(output)) return weights;
    const rows = Array.from(batch.rows);
    const mean = rows.reduce((sum, row) => sum + weights[row]!, 0) / rows.length;
    return new Float32Array(weights.length).fill(mean);
  });
  return { ...batch, sampleWeights };
}
