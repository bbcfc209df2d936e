/** `trainer.profile()`: what every layer costs, as plain data for printing and for tools. */
import type { ModelGraph } from './model/index.js';
import type { Plan } from './plan.js';
import type { ProfiledSize } from './scheduler/driver/profile-store.js';

/**
 * What one call of a layer costs for one micro-batch, and what it takes in memory. Times are in milliseconds. An activation layer
 * that the kernel of the layer before it can apply is measured with that one, and takes nothing itself.
 */
export interface LayerProfile {
  /** Name of the layer. */
  readonly layer: string;
  /** Place of the call among all layer calls of the model, in the order in which they run. */
  readonly node: number;
  readonly forwardMs: number;
  /** Gradient of the inputs, and of what cannot be told from it. */
  readonly backwardInputMs: number;
  /** Gradient of the weights. */
  readonly backwardWeightMs: number;
  /** Adding the weights' gradient to those of earlier micro-batches: for each micro-batch but the first. */
  readonly accumulateMs: number;
  /** The optimizer's step for the layer's weights: once a mini-batch. */
  readonly stepMs: number;
  /** Bytes of the outputs for the whole micro-batch. */
  readonly activationBytes: number;
  /** Bytes of the layer's weights; a layer that is called several times has them once. */
  readonly weightBytes: number;
}

/** What the layers cost for micro-batches of one size. */
export interface MicroBatchProfile {
  /** Samples of the micro-batch. */
  readonly rows: number;
  /** One for each layer call, in the order in which they run. */
  readonly layers: readonly LayerProfile[];
}

/** What the layers of a model cost on this machine, as the planner sees them. */
export interface ModelProfile {
  readonly backend: Plan['backend'];
  readonly backendVersion: string;
  /** Workers that measured at the same time; times are their means. */
  readonly workers: number;
  /** By the number of rows, in ascending order: an eighth and a half of the `batchSize` of `pipeline()`. */
  readonly microBatches: readonly MicroBatchProfile[];
}

export function describeProfile(
  sizes: readonly ProfiledSize[],
  { nodes, layers }: ModelGraph,
  { backend, backendVersion }: Pick<Plan, 'backend' | 'backendVersion'>,
  workers: number,
): ModelProfile {
  return {
    backend,
    backendVersion,
    workers,
    microBatches: sizes.map(({ rows, units }) => ({
      rows,
      layers: units.map(({ outputBytes, ...times }, node): LayerProfile => {
        const { name, weightBytes } = layers[nodes[node]!.layer]!;
        return { layer: name, node, ...times, activationBytes: outputBytes, weightBytes };
      }),
    })),
  };
}
