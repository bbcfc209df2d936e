/**
 * Tied weights: variables that more than one piece of the cut model uses.
 *
 * A layer that is called several times is rebuilt once in every stage that calls it; a layer that is part of two
 * nested models is rebuilt in each of them. All these are *copies* of one variable of the user's model. The first
 * copy, in the lowest stage, owns it: its stage sums the gradients of all copies, keeps the optimizer's slots, steps,
 * and sends the new value to the others. The lowest stage is the last to finish its backward passes and the first to
 * start the next mini-batch, so nobody waits for the exchange who would not wait for activations anyway.
 */
import {
  drawsRandomNumbers,
  innerLayers,
  isStateful,
  type Layer,
  ownStateWeights,
} from '../tfjs/internals.js';
import type { ModelGraph } from './graph.js';
import { trainableWeights } from './trainable.js';

export interface WeightCopy {
  readonly stage: number;
  /** Index into `ModelGraph.layers`. */
  readonly layer: number;
  /** Index into the layer's canonical weights. */
  readonly weight: number;
}

/** A trainable variable with all its copies. */
export interface PlacedWeight {
  /** See `TrainableWeight`. */
  readonly order: number;
  readonly shape: readonly number[];
  readonly frozen: boolean;
  readonly positions: readonly number[];
  readonly owner: WeightCopy;
  /** The other copies, by stage. */
  readonly users: readonly WeightCopy[];
}

/**
 * Whether calls of a layer can live in different stages: not if it keeps anything but trainable weights from one
 * call to the next (running statistics, recurrent states), and not if it draws random numbers, which count its calls.
 */
export function isSeparable(layer: Layer): boolean {
  return (
    ownStateWeights(layer).length === 0 &&
    !isStateful(layer) &&
    !drawsRandomNumbers(layer) &&
    innerLayers(layer).every(isSeparable)
  );
}

/**
 * Every trainable weight with its copies.
 *
 * @param stages the layers of each stage, as indices into `ModelGraph.layers`
 */
export function placeWeights(
  graph: ModelGraph,
  stages: readonly { readonly index: number; readonly layers: readonly number[] }[],
): readonly PlacedWeight[] {
  return trainableWeights(graph).map(({ places, ...weight }) => {
    const [owner, ...users] = stages.flatMap(({ index: stage, layers }) =>
      layers.flatMap(layer =>
        places.filter(place => place.layer === layer).map(place => ({ stage, ...place })),
      ),
    );
    return { ...weight, owner: owner!, users };
  });
}
