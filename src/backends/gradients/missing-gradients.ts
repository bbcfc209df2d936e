/**
 * Gradients that tfjs 4.22 lacks for operations of its layers ("gradient function not found for …").
 *
 * A comparison is constant but for jumps, so its gradient is zero, which is what tfjs itself has for `greaterEqual`:
 * `Masking` needs `notEqual` and `any`, `ThresholdedReLU` needs `greater`. A transposed 3-D convolution is the gradient of
 * a 3-D convolution for its input, linear in both of its operands, so its own gradients are that convolution and that
 * convolution's gradient for the filter, as tfjs has it in two dimensions.
 */
import { tf } from '../../tf.js';

interface TransposedConvolution {
  readonly strides: [number, number, number];
  readonly pad: 'same' | 'valid';
}

const GRADIENTS: readonly tf.GradConfig[] = [
  zeroFor('NotEqual', ['a', 'b']),
  zeroFor('Greater', ['a', 'b']),
  zeroFor('Any', ['x']),
  {
    kernelName: 'Conv3DBackpropInputV2',
    inputsToSave: ['dy', 'filter'],
    gradFunc: (upstream, saved, attrs) => {
      const [dy, filter] = saved as [tf.Tensor5D, tf.Tensor5D];
      const { strides, pad } = attrs as unknown as TransposedConvolution;
      const image = upstream as tf.Tensor5D;
      return {
        dy: () => tf.conv3d(image, filter, strides, pad),
        filter: () =>
          tf
            .engine()
            .runKernel(
              'Conv3DBackpropFilterV2',
              { x: image, dy },
              { strides, pad, filterShape: filter.shape },
            ) as tf.Tensor,
      };
    },
  },
];

/** Registers them in this thread, unless tfjs or somebody else has one. */
export function registerMissingGradients(): void {
  for (const config of GRADIENTS) {
    if ((tf.getGradient(config.kernelName) ?? undefined) === undefined) tf.registerGradient(config);
  }
}

function zeroFor(kernelName: string, inputs: readonly string[]): tf.GradConfig {
  return {
    kernelName,
    inputsToSave: [...inputs],
    // Float, whatever was compared: gradients have no other type.
    gradFunc: (_, saved) =>
      Object.fromEntries(inputs.map((input, index) => [input, () => tf.zeros(saved[index]!.shape)])),
  };
}
