/** Evaluating and predicting: the same pipeline, forwards alone, mini-batch by mini-batch. */

import { lastValueFrom, reduce, tap } from 'rxjs';
import type { TensorData, TensorHeader } from '../../protocol/tensor.js';
import { tf } from '../../tf.js';
import type { UserData } from './data/user-data.js';
import { logValues } from './logs.js';
import type { MiniBatch } from './mini-batch.js';
import type { RunOptions, StepReport } from './run.js';
import { runBatches } from './run-batches.js';
import type { Runtime } from './runtime.js';
import type { StopRequest } from './stop-request.js';

/** Loss and metrics over all samples, in the order of `logNames`. Penalties do not count, as in tfjs. */
export async function evaluateSamples(
  runtime: Runtime,
  data: UserData,
  batchSize: number,
  stop?: StopRequest,
): Promise<readonly number[]> {
  return (await evaluateBatches(runtime, miniBatches(data, batchSize, stop))).values;
}

/** The same over mini-batches of any sizes, with the number of samples that were met. */
export async function evaluateBatches(
  runtime: Runtime,
  source: RunOptions['source'],
): Promise<{ readonly values: readonly number[]; readonly rows: number }> {
  const totals = { rows: 0, sums: [] as readonly number[] };
  const run$ = runBatches({ runtime, mode: 'evaluate', source, describeStep });
  const { rows, sums } = await lastValueFrom(
    run$.pipe(
      reduce(
        (total, report) => ({
          rows: total.rows + report.rows,
          sums: Array.from(report.sums, (sum, index) => sum + (total.sums[index] ?? 0)),
        }),
        totals,
      ),
    ),
  );
  return { values: logValues(runtime.compile, sums, rows), rows };
}

/** The model's outputs for all samples, in order. */
export async function predictSamples(
  runtime: Runtime,
  data: UserData,
  batchSize: number,
): Promise<tf.Tensor[]> {
  const results = runtime.plan.cut.graph.outputs.map(() => new OutputRows(data.sampleCount));
  const run$ = runBatches({ runtime, mode: 'predict', source: miniBatches(data, batchSize), describeStep });
  const collect = tap<StepReport>(({ outputs }) => {
    for (const { output, header, data: rows } of outputs) results[output]!.append(header, rows);
  });
  await lastValueFrom(run$.pipe(collect));
  return results.map(result => result.toTensor());
}

/** Steps without training: they neither count nor learn. */
function describeStep(): { number: number; learningRate: number } {
  return { number: 0, learningRate: 0 };
}

/** Asked to stop, it hands out no more: the caller throws away what was made so far. */
function* miniBatches(data: UserData, batchSize: number, stop?: StopRequest): Generator<MiniBatch> {
  for (let start = 0; start < data.sampleCount && stop?.isRequested !== true; start += batchSize) {
    const count = Math.min(batchSize, data.sampleCount - start);
    yield { ...data, rows: Uint32Array.from({ length: count }, (_, index) => start + index) };
  }
}

/** Rows of one model output, appended in order into one array that is made when the first of them shows its shape. */
class OutputRows {
  readonly #sampleCount: number;
  #header: TensorHeader | undefined;
  #data: TensorData | undefined;
  #length = 0;

  constructor(sampleCount: number) {
    this.#sampleCount = sampleCount;
  }

  append(header: TensorHeader, rows: TensorData): void {
    this.#header ??= header;
    this.#data ??= new (rows.constructor as new (length: number) => TensorData)(
      (rows.length / header.shape[0]!) * this.#sampleCount,
    );
    this.#data.set(rows, this.#length);
    this.#length += rows.length;
  }

  toTensor(): tf.Tensor {
    const { dtype, shape } = this.#header!;
    return tf.tensor(this.#data!, [this.#sampleCount, ...shape.slice(1)], dtype);
  }
}
