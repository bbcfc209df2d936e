/** Evaluating and predicting: the same pipeline, forwards alone, mini-batch by mini-batch. */
import * as tf from '@tensorflow/tfjs';
import { lastValueFrom, reduce, tap } from 'rxjs';
import type { TensorData, TensorHeader } from '../../protocol/tensor.js';
import { logValues } from './logs.js';
import { geometryOf, type MiniBatch } from './mini-batch.js';
import { runSession, type StepReport } from './run.js';
import type { Runtime } from './runtime.js';
import type { StopRequest } from './stop-request.js';
import type { UserData } from './user-data.js';

/** Loss and metrics over all samples, in the order of `logNames`. Penalties do not count, as in tfjs. */
export async function evaluateSamples(
  runtime: Runtime,
  data: UserData,
  batchSize: number,
  stop?: StopRequest,
): Promise<readonly number[]> {
  const session = await runtime.session(
    geometryOf('evaluate', data, batchSize, runtime.plan.microBatchCount),
  );
  const run$ = runSession({
    session,
    cut: runtime.plan.cut,
    source: miniBatches(data, batchSize, stop),
    describeStep,
  });
  const totals = await lastValueFrom(
    run$.pipe(
      reduce(
        (sums, report) => sums.map((sum, index) => sum + report.sums[index]!),
        new Float64Array(session.board.layout.sumCount),
      ),
    ),
  );
  return logValues(runtime.compile, totals, data.sampleCount);
}

/** The model's outputs for all samples, in order. */
export async function predictSamples(
  runtime: Runtime,
  data: UserData,
  batchSize: number,
): Promise<tf.Tensor[]> {
  const { plan } = runtime;
  const session = await runtime.session(geometryOf('predict', data, batchSize, plan.microBatchCount));
  const results = plan.cut.graph.outputs.map(() => new OutputRows(data.sampleCount));
  const run$ = runSession({ session, cut: plan.cut, source: miniBatches(data, batchSize), describeStep });
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
