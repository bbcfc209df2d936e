/**
 * Losses and metrics inside a worker.
 *
 * tfjs resolves names such as 'categoricalCrossentropy' or 'accuracy' only inside `compile`, so a throw-away model with
 * one identity layer an output is compiled for it; 'accuracy' depends on the output's shape and loss, which it gets too.
 * Functions come by reference: from tfjs's own namespaces or from a `setup` module.
 */

import type { FusedOperations } from '../backends/index.js';
import { MillraceError } from '../errors.js';
import { isDecomposable } from '../model/metrics.js';
import type { CompileSpec, FunctionRef, NamedFunction } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';
import { compiled, type LossOrMetric } from '../tfjs/internals.js';

export interface OutputMetric {
  readonly evaluate: LossOrMetric;
  /** Whether the metric of a mini-batch is the mean over its samples; if not, outputs are gathered first. */
  readonly decomposable: boolean;
}

export interface OutputFunctions {
  readonly loss: LossOrMetric;
  /** Whether it is tfjs's or the backend's, and not a function of the user's, which may do something else at every call. */
  readonly isOwnLoss: boolean;
  /** What the loss counts in the total that is trained on. */
  readonly lossWeight: number;
  readonly metrics: readonly OutputMetric[];
}

/** The loss and metrics of every model output, in the model's order; losses in the backend's form where it has one. */
export async function resolveFunctions(
  spec: CompileSpec,
  operations?: Partial<FusedOperations>,
): Promise<OutputFunctions[]> {
  const resolved: OutputFunctions[] = [];
  for (const [index, { shape }] of spec.outputs.entries()) {
    const loss = await resolve(spec.losses[index]!);
    const metrics = await Promise.all(spec.metrics[index]!.map(resolve));
    const input = tf.input({ batchShape: [...shape] });
    const output = tf.layers.activation({ activation: 'linear' }).apply(input) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: output });
    model.compile({ optimizer: 'sgd', loss, metrics } as tf.ModelCompileArgs);
    const { lossFunctions, metricsTensors } = compiled(model);
    resolved.push({
      loss: fusedLoss(loss, operations) ?? lossFunctions![0]!,
      isOwnLoss: isOwn(spec.losses[index]!),
      lossWeight: spec.lossWeights[index]!,
      metrics: metricsTensors!.map(([evaluate], metric) => ({
        evaluate,
        decomposable: isDecomposable(spec.metrics[index]![metric]!),
      })),
    });
    model.dispose();
  }
  return resolved;
}

/** A loss that the backend computes in one kernel; the metric of the same name stays tfjs's. */
function fusedLoss(
  loss: string | LossOrMetric,
  operations: Partial<FusedOperations> | undefined,
): LossOrMetric | undefined {
  const fused = operations?.categoricalCrossentropy;
  if (loss !== 'categoricalCrossentropy' || fused === undefined) return undefined;
  return (target, output) => fused(tf.cast(target, 'float32'), output);
}

function isOwn(named: NamedFunction): boolean {
  return typeof named === 'string' || named.ref.module === 'tf.losses' || named.ref.module === 'tf.metrics';
}

async function resolve(named: NamedFunction): Promise<string | LossOrMetric> {
  return typeof named === 'string' ? named : functionOf(named.ref);
}

async function functionOf({ module, name }: FunctionRef): Promise<LossOrMetric> {
  const namespace: Record<string, unknown> =
    module === 'tf.losses' ? tf.losses : module === 'tf.metrics' ? tf.metrics : await import(module);
  const found = namespace[name];
  if (typeof found !== 'function') {
    throw new MillraceError(
      'MILLRACE_UNKNOWN_FUNCTION',
      `The module '${module}' exports no function '${name}'.`,
    );
  }
  return found as LossOrMetric;
}
