/** Layers that only activate. */
import type { Layer } from '../../tfjs/internals.js';
import type { ActivationFunction, Lowering } from './layer-call.js';

interface ActivationLayer {
  readonly activation: ActivationFunction;
  readonly alpha: number;
  readonly axis: number;
  readonly maxValue?: number | null;
}

/** What a layer that only activates applies, where that is an activation without parameters; `undefined` for other layers. */
export function activationName(layer: Layer): string | undefined {
  const { activation, maxValue } = layer as unknown as ActivationLayer;
  switch (layer.getClassName()) {
    case 'Activation':
      return activation.getClassName();
    case 'ReLU':
      return maxValue === undefined || maxValue === null ? 'relu' : undefined;
    default:
      return undefined;
  }
}

export const activation: Lowering = (layer, operations) => {
  const name = activationName(layer);
  if (name === undefined || name === 'linear' || !operations.isActivation(name)) return undefined;
  return input => operations.activation(input, name);
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
