/** Layers that only activate. */
import type { ActivationFunction, Lowering } from './layer-call.js';

interface ActivationLayer {
  readonly activation: ActivationFunction;
  readonly alpha: number;
  readonly axis: number;
  readonly maxValue?: number | null;
}

export const activation: Lowering = (layer, operations) => {
  const name = (layer as unknown as ActivationLayer).activation.getClassName();
  if (name === 'linear' || !operations.isActivation(name)) return undefined;
  return input => operations.activation(input, name);
};

export const relu: Lowering = (layer, operations) => {
  const { maxValue } = layer as unknown as ActivationLayer;
  if (maxValue !== undefined && maxValue !== null) return undefined;
  return input => operations.activation(input, 'relu');
};

export const leakyRelu: Lowering = (layer, operations) => {
  const { alpha } = layer as unknown as ActivationLayer;
  return input => operations.activation(input, 'leakyRelu', alpha);
};

export const softmax: Lowering = (layer, operations) => {
  const { axis } = layer as unknown as ActivationLayer;
  return input =>
    axis === -1 || axis === input.rank - 1 ? operations.activation(input, 'softmax') : undefined;
};
