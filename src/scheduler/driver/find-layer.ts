import type { ModelGraph } from '../../model/index.js';
import { insideAndItself, type Layer } from '../../tfjs/internals.js';

/** Name of the first top-level layer that is such a layer or holds one. */
export function findLayer(graph: ModelGraph, matches: (layer: Layer) => boolean): string | undefined {
  return graph.layers.find(({ layer }) => insideAndItself(layer).some(matches))?.name;
}
