import type { ModelGraph } from '../../model/index.js';
import { innerLayers, type Layer } from '../../tfjs/internals.js';

/** Name of the first top-level layer that is such a layer or holds one. */
export function findLayer(graph: ModelGraph, matches: (layer: Layer) => boolean): string | undefined {
  const holds = (layer: Layer): boolean => matches(layer) || innerLayers(layer).some(holds);
  return graph.layers.find(({ layer }) => holds(layer))?.name;
}
