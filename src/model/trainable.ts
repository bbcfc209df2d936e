/**
 * The weights that training updates. tfjs takes them when the model is compiled, so that is what counts: a `trainable`
 * flag set later has no effect until the model is compiled again.
 */
import { compiled } from '../tfjs/internals.js';
import type { ModelGraph } from './graph.js';
import { canonicalWeights } from './weights.js';

export interface TrainableWeight {
  /** Index into `ModelGraph.layers`. */
  readonly layer: number;
  /** Index into the layer's canonical weights. */
  readonly weight: number;
  /** Position in the compiled model's list of trainable weights: the order inside the optimizer. */
  readonly order: number;
}

export function trainableWeights(graph: ModelGraph): readonly TrainableWeight[] {
  const place = new Map<object, { layer: number; weight: number }>();
  for (const { index, layer } of graph.layers) {
    canonicalWeights(layer).forEach((variable, weight) => {
      place.set(variable, { layer: index, weight });
    });
  }
  const collected = compiled(graph.model).collectedTrainableWeights ?? [];
  return collected.flatMap((variable, order) => {
    const found = place.get(variable);
    return found === undefined ? [] : [{ ...found, order }];
  });
}
