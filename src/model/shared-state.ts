/**
 * Refuses what rebuilding the layers in workers cannot keep in one piece: a layer inside two top-level layers (two nested
 * models, say) that keeps a state beside its trainable weights. Each of the two is rebuilt with a copy of its own, and
 * only the copies' trainable weights are tied.
 */
import { ModelError } from '../errors.js';
import { innerLayers, isStateful, type Layer, ownStateWeights } from '../tfjs/internals.js';

/** @throws ModelError that names the layer and the two that it is part of */
export function assertStateIsInOnePlace(layers: readonly Layer[]): void {
  const placeOf = new Map<Layer, Layer>();
  for (const layer of layers) {
    for (const part of partsOf(layer)) {
      const place = placeOf.get(part) ?? layer;
      placeOf.set(part, place);
      if (place === layer || (ownStateWeights(part).length === 0 && !isStateful(part))) continue;
      throw new ModelError(
        `Layer '${part.name}' belongs to both '${place.name}' and '${layer.name}', and it keeps a state (running statistics ` +
          'or a recurrent state) that the two would share. Workers rebuild each of them apart. Use a layer of its own in ' +
          'each, or build the model without nesting.',
        part.name,
      );
    }
  }
}

function partsOf(layer: Layer): ReadonlySet<Layer> {
  const parts = new Set([layer]);
  for (const part of parts) for (const inner of innerLayers(part)) parts.add(inner);
  return parts;
}
