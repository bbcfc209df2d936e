/** A single step on a single mini-batch. */
import { lastValueFrom } from 'rxjs';
import { compiled, learningRateOf } from '../../../tfjs/internals.js';
import { labelledData, weightedByClass } from '../data/user-data.js';
import { logNames, logValues, namedLogs } from '../logs.js';
import { runBatches } from '../run-batches.js';
import type { TrainOnBatchArgs } from './args.js';
import type { FitContext } from './loop.js';
import { NanWatch } from './nan-watch.js';
import { checkTrainables } from './trainables.js';

/** The loss and metrics before the step, in the order of `model.metricsNames`. */
export async function trainOnBatch(
  context: FitContext,
  x: unknown,
  y: unknown,
  { classWeight, sampleWeight }: TrainOnBatchArgs,
): Promise<readonly number[]> {
  const { model, runtime, emit, warn, isObserved, recorder, steps } = context;
  const owner = { model, compile: runtime.compile };
  const data = weightedByClass(owner, await labelledData(owner, x, y, sampleWeight), classWeight);
  checkTrainables(context);
  const batch = { ...data, rows: Uint32Array.from({ length: data.sampleCount }, (_, row) => row) };
  const report = await lastValueFrom(
    runBatches({
      runtime,
      mode: 'train',
      source: [batch].values(),
      recordActions: isObserved,
      recorder,
      describeStep: () => ({
        number: steps.count++,
        learningRate: learningRateOf(compiled(model).optimizer_!),
      }),
    }),
  );
  await runtime.pullWeights();
  await runtime.pullOptimizer();
  const { number: step, rows, sums, actions } = report;
  const values = logValues(runtime.compile, sums, rows);
  const place = { epoch: 0, batch: 0, step };
  emit({ kind: 'step', ...place, rows, logs: namedLogs(logNames(model), values), actions });
  new NanWatch(() => runtime.plan.cut, runtime.compile, warn).look({ ...place, sums });
  return values;
}
