/** Layer norm over the last axis, with scale and offset, as it is made by default. */
import type { Lowering, Weight } from './layer-call.js';

interface LayerNormLayer {
  readonly axis: readonly number[];
  readonly epsilon: number;
  readonly gamma?: Weight | null;
  readonly beta?: Weight | null;
}

export const layerNorm: Lowering = (layer, operations) => {
  const { axis, epsilon, gamma, beta } = layer as unknown as LayerNormLayer;
  if (gamma === undefined || gamma === null || beta === undefined || beta === null) return undefined;
  return input => {
    const isLastAxis = axis.length === 1 && (axis[0] === input.rank - 1 || axis[0] === -1);
    if (!isLastAxis || input.rank < 2) return undefined;
    return operations.layerNorm(input, gamma.read(), beta.read(), epsilon);
  };
};
