import { batchNormParts, innerLayers, type Layer } from '../../tfjs/internals.js';

/** The batch normalizations in a layer, which may be one or hold some. */
export function batchNormsIn(layer: Layer): Layer[] {
  const own = batchNormParts(layer) === undefined ? [] : [layer];
  return [...own, ...innerLayers(layer).flatMap(batchNormsIn)];
}
