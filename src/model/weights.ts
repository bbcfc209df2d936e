/**
 * The order in which a layer's weights are named and sent.
 *
 * `layer.weights` puts frozen weights last, so its order changes with every `trainable` flag inside a nested model;
 * and a layer that is rebuilt from its config forgets some of those flags. The order here follows the structure
 * alone: a layer's own weights, then those of its inner layers, depth first.
 */
import { innerLayers, type Layer, type LayerVariable, ownWeights } from '../tfjs/internals.js';

/** All weights of a layer in canonical order, each once. Empty until the layer is built. */
export function canonicalWeights(layer: Layer): readonly LayerVariable[] {
  const found = new Set<LayerVariable>();
  const visit = (part: Layer): void => {
    for (const weight of ownWeights(part)) found.add(weight);
    for (const inner of innerLayers(part)) visit(inner);
  };
  visit(layer);
  // A custom layer may hold inner layers under names of its own; `weights` is then its own word on the order.
  for (const weight of layer.weights) found.add(weight);
  return [...found];
}
