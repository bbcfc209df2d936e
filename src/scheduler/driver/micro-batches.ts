/**
 * How many micro-batches a mini-batch is cut into, and whether the model allows it: batch statistics, recurrent states and
 * what users' layers and losses do may tie the samples of a mini-batch together.
 */
import { ConfigurationError } from '../../errors.js';
import type { ModelGraph, SampleCoupling } from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';
import { isBatchNorm, isStateful } from '../../tfjs/internals.js';
import { findLayer } from './find-layer.js';

export interface Warning {
  readonly code: string;
  readonly message: string;
}

/** Numbers that `auto` may choose from, as far as a mini-batch has so many rows; beyond four a stage little is left to gain. */
const AUTO_COUNTS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const MOST_A_STAGE = 4;

/**
 * The numbers that are allowed, in ascending order: the one asked for; one where samples are tied together or there is
 * nothing to pipeline; else several, for `auto` to choose from.
 *
 * @throws ConfigurationError where the number asked for would change the training's numbers unasked
 */
export function allowedMicroBatches(
  graph: ModelGraph,
  options: ResolvedOptions,
  stageCount: number,
  coupling: SampleCoupling,
): { readonly microBatchCounts: readonly number[]; readonly warnings: readonly Warning[] } {
  const asked =
    typeof options.schedule === 'object' ? options.schedule.microBatchCount : options.microBatches;
  const several = asked !== 'auto' && asked > 1;
  refuseForRandomness(coupling, options);
  if (coupling.mixing !== undefined) {
    refuseForMixing(coupling.mixing, several ? asked : undefined);
    const message =
      `The samples of a mini-batch are tied together by ${coupling.mixing}, so it is not cut into micro-batches, and stages ` +
      'hardly overlap.';
    return {
      microBatchCounts: [1],
      warnings: stageCount === 1 ? [] : [{ code: 'COUPLED_SAMPLES', message }],
    };
  }
  const stateful = findLayer(graph, isStateful);
  const normalised = findLayer(graph, isBatchNorm);
  if (stateful !== undefined) {
    refuseForState(stateful, options, several ? asked : undefined);
    return { microBatchCounts: [1], warnings: [] };
  }
  if (normalised !== undefined) {
    if (several && options.batchNorm === 'exact') {
      throw new ConfigurationError(
        'batchNorm',
        `Option 'batchNorm' is 'exact', but with microBatches ${asked} the layer '${normalised}' sees only a part of each ` +
          "mini-batch. Use microBatches 1, or batchNorm 'micro-batch' or 'deferred'.",
      );
    }
    const accepted = options.batchNorm === 'micro-batch' || options.batchNorm === 'deferred';
    if (asked === 'auto' && !accepted) return { microBatchCounts: [1], warnings: [] };
    if (several && options.batchNorm === 'auto') {
      const message =
        `Layer '${normalised}' normalises each of the ${asked} micro-batches by itself, as GPipe does, so the numbers differ ` +
        "from those of plain fit(). Say batchNorm: 'micro-batch' or 'deferred' to accept this, or microBatches: 1 to avoid it.";
      return { microBatchCounts: [asked], warnings: [{ code: 'BATCH_NORM_MICRO_BATCH', message }] };
    }
  }
  if (asked !== 'auto') return { microBatchCounts: [asked], warnings: [] };
  // Small ones take less memory, whatever else they are good for.
  const worthwhile =
    options.memoryLimit !== undefined
      ? Number.POSITIVE_INFINITY
      : stageCount === 1
        ? 1
        : MOST_A_STAGE * stageCount;
  const most = Math.min(worthwhile, options.batchSize);
  return { microBatchCounts: AUTO_COUNTS.filter(count => count <= most), warnings: [] };
}

function refuseForMixing(what: string, microBatches: number | undefined): void {
  if (microBatches === undefined) return;
  throw new ConfigurationError(
    'microBatches',
    `Option 'microBatches' is ${microBatches}, but ${what} gives other numbers for a whole mini-batch than for its parts, ` +
      'which would train something else than plain fit(). Use 1.',
  );
}

function refuseForRandomness({ unrepeatable }: SampleCoupling, { recompute }: ResolvedOptions): void {
  if (unrepeatable === undefined || recompute === 'never' || recompute === 'auto') return;
  throw new ConfigurationError(
    'recompute',
    `Option 'recompute' is '${recompute}', but ${unrepeatable} draws random numbers of its own: running it twice would ` +
      "train on others than those that went on to the next stage. Use 'never'.",
  );
}

function refuseForState(
  layer: string,
  { recompute }: ResolvedOptions,
  microBatches: number | undefined,
): void {
  if (microBatches !== undefined) {
    throw new ConfigurationError(
      'microBatches',
      `Option 'microBatches' is ${microBatches}, but layer '${layer}' is stateful: its state is made for whole batches. Use 1.`,
    );
  }
  if (recompute !== 'never' && recompute !== 'auto') {
    throw new ConfigurationError(
      'recompute',
      `Option 'recompute' is '${recompute}', but layer '${layer}' is stateful: running it twice would move its state twice. ` +
        "Use 'never'.",
    );
  }
}
