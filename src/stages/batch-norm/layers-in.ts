import { batchNormParts, insideAndItself, type Layer } from '../../tfjs/internals.js';

/** The batch normalizations in a layer, which may be one or hold some. */
export function batchNormsIn(layer: Layer): Layer[] {
  return insideAndItself(layer).filter(part => batchNormParts(part) !== undefined);
}
