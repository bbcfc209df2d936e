/** Which forward passes may run again, where that is left to Millrace. */
import type { ModelGraph, SampleCoupling } from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';
import { isStateful } from '../../tfjs/internals.js';
import type { RecomputeMode } from '../plan/index.js';
import { findLayer } from './find-layer.js';

/**
 * What may be tried, the cheapest first: for `auto` no recomputation, and where memory is limited `except-last`. `always` would
 * hold no less at the peak.
 */
export function recomputeModes(
  graph: ModelGraph,
  { recompute, memoryLimit }: ResolvedOptions,
  { unrepeatable }: SampleCoupling,
): readonly RecomputeMode[] {
  if (recompute !== 'auto') return [recompute];
  const isRepeatable = unrepeatable === undefined && findLayer(graph, isStateful) === undefined;
  return memoryLimit === undefined || !isRepeatable ? ['never'] : ['never', 'except-last'];
}
