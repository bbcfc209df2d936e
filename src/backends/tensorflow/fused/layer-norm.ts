/**
 * Layer normalization over the last axis (Ba et al., arXiv 1607.06450) by ops of Millrace's own: for 2,048 rows of 128,
 * 0.21 ms forward, 0.17 for the gradient of x and 0.05 for that of γ, where graphs of TensorFlow's ops take 0.7, 0.8 and 0.2.
 */
import { tf } from '../../../tf.js';
import { hasKernels } from '../kernels.js';
import { rawOps } from '../raw-ops.js';
import { asMatrix, biasGradient } from './dense.js';
import { register } from './kernel.js';
import { layerNormOfOps } from './layer-norm-of-ops.js';

interface Attributes {
  readonly epsilon: number;
}

const run = register<Attributes>({
  name: 'MillraceLayerNorm',
  forward({ x, gamma, beta }, { epsilon }, hide) {
    const raw = rawOps();
    const inputs = [x!, gamma!, beta!];
    const [y, ...statistics] = raw.many('MillraceLayerNorm', [raw.number('epsilon', epsilon)], inputs, 3);
    hide(statistics);
    return y!;
  },
  saves: { inputs: ['x', 'gamma'], output: false },
  gradient([dy], saved) {
    const [x, gamma, mean, scale] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    return {
      x: () => rawOps().one('MillraceLayerNormInputGradient', [], dy!, x, gamma, mean, scale),
      gamma: () => rawOps().one('MillraceLayerNormGammaGradient', [], dy!, x, mean, scale),
      beta: () => tf.tidy(() => biasGradient(asMatrix(dy!))),
    };
  },
});

export function layerNorm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: number): tf.Tensor {
  return hasKernels() ? run({ x, gamma, beta }, { epsilon }) : layerNormOfOps(x, gamma, beta, epsilon);
}
