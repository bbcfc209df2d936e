/**
 * Which replica steps which weights. Every replica has all weights, but only one steps each of them and keeps the
 * optimizer's slots for it, as in ZeRO's first stage (Rajbhandari et al., arXiv 1910.02054): the others send it their
 * gradients and read the weight where it writes it.
 */
import type { TensorHeader } from '../protocol/tensor.js';
import type { CutModel } from './stages.js';
import type { PlacedWeight } from './ties.js';

/** Replica that steps a weight, by `PlacedWeight.order`: within each stage shares are of nearly equal size. */
export function shareWeights({ stages, weights }: CutModel, replicas: number): ReadonlyMap<number, number> {
  const replicaOfWeight = new Map<number, number>();
  for (const { index } of stages) {
    const sizes = new Array<number>(replicas).fill(0);
    const own = weights.filter(({ owner }) => owner.stage === index);
    // The largest first, each to whoever has least (Graham 1969): at most a third above the best sharing.
    for (const weight of own.sort((a, b) => sizeOf(b) - sizeOf(a) || a.order - b.order)) {
      const replica = sizes.indexOf(Math.min(...sizes));
      sizes[replica]! += sizeOf(weight);
      replicaOfWeight.set(weight.order, replica);
    }
  }
  return replicaOfWeight;
}

/** What a replica steps of a stage's weights, in order. */
export function replicaMessage(
  { weights }: CutModel,
  stage: number,
  stepper: number,
  shares: ReadonlyMap<number, number>,
): readonly TensorHeader[] {
  return weights
    .filter(({ owner, order, frozen }) => owner.stage === stage && !frozen && shares.get(order) === stepper)
    .map(({ shape }): TensorHeader => ({ dtype: 'float32', shape }));
}

/**
 * The most that another replica sends for weights that one steps, in order: for each a gradient, and two factors of one, which
 * together have fewer elements than the weight.
 */
export function replicaGradients(weights: readonly TensorHeader[]): readonly TensorHeader[] {
  const vector = (size: number): TensorHeader => ({ dtype: 'float32', shape: [size] });
  return weights.flatMap(weight => [
    weight,
    vector(weight.shape.reduce((size, axis) => size * axis, 1)),
    // Each factor begins at an aligned place.
    vector(1),
  ]);
}

/** By stage, the replicas that step some of its weights. */
export function steppingReplicas(
  cut: CutModel,
  replicas: number,
  shares: ReadonlyMap<number, number>,
): readonly (readonly number[])[] {
  return cut.stages.map(({ index }) =>
    Array.from({ length: replicas }, (_, replica) => replica).filter(
      replica => replicaMessage(cut, index, replica, shares).length > 0,
    ),
  );
}

/** Weights that stay as they are go to the replica that has least in any case. */
function sizeOf({ shape, frozen }: PlacedWeight): number {
  return frozen ? 0 : shape.reduce((size, axis) => size * axis, 1);
}
