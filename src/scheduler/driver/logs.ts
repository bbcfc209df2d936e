/** From a step's sums to tfjs's logs: loss, the loss of each output if there are several, metrics. */
import type * as tf from '@tensorflow/tfjs';
import type { CompileSpec } from '../../protocol/stage-spec.js';
import { SumsLayout } from '../../protocol/sums-layout.js';
import { compiled } from '../../tfjs/internals.js';
import type { Logs } from './callbacks.js';

/** Names of the values, in tfjs's order. */
export function logNames(model: tf.LayersModel): readonly string[] {
  return compiled(model).getDedupedMetricsNames();
}

/**
 * The values that belong to `logNames`, for one mini-batch or several.
 *
 * @param sums losses and metrics times rows, then the penalty; see `SumsLayout`
 * @param rows samples that the sums are over
 */
export function logValues(compile: CompileSpec, sums: ArrayLike<number>, rows: number): readonly number[] {
  const layout = sumsLayoutOf(compile);
  const { outputCount, metricCount } = layout;
  const losses = Array.from({ length: outputCount }, (_, output) => sums[layout.loss(output)]! / rows);
  const metrics = Array.from({ length: metricCount }, (_, metric) => sums[layout.metric(0, metric)]! / rows);
  const { lossWeights } = compile;
  const weighted = losses.reduce((sum, loss, output) => sum + lossWeights[output]! * loss, 0);
  return [weighted + sums[layout.penalty]!, ...(outputCount > 1 ? losses : []), ...metrics];
}

export function sumsLayoutOf({ metrics }: CompileSpec): SumsLayout {
  return new SumsLayout(metrics.map(({ length }) => length));
}

export function namedLogs(names: readonly string[], values: readonly number[]): Logs {
  return Object.fromEntries(names.map((name, index) => [name, values[index]!]));
}
