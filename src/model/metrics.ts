/**
 * Which metrics are means over samples, so that a mini-batch's value is the weighted mean of its micro-batches'.
 *
 * Precision and recall are ratios of sums; a user's function may be anything. Those are computed once a mini-batch on
 * gathered outputs.
 */
import type { NamedFunction } from '../protocol/stage-spec.js';

const DECOMPOSABLE = new Set(
  [
    'accuracy',
    'acc',
    'crossentropy',
    'ce',
    'binaryAccuracy',
    'binaryCrossentropy',
    'categoricalAccuracy',
    'categoricalCrossentropy',
    'sparseCategoricalAccuracy',
    'sparseCategoricalCrossentropy',
    'cosineProximity',
    'cosine',
    'meanAbsoluteError',
    'MAE',
    'mae',
    'meanAbsolutePercentageError',
    'MAPE',
    'mape',
    'meanSquaredError',
    'MSE',
    'mse',
  ].map(name => name.toLowerCase()),
);

export function isDecomposable(metric: NamedFunction): boolean {
  if (typeof metric === 'string') return DECOMPOSABLE.has(metric.toLowerCase());
  return metric.ref.module === 'tf.metrics' && DECOMPOSABLE.has(metric.ref.name.toLowerCase());
}
