/** The fused operations of the TensorFlow backend. Importing this registers their kernels and gradients with tfjs. */
import type { FusedOperations } from '../../fused-operations.js';
import { activation, isActivation, isInline } from './activations.js';
import { batchNorm, movingAverage } from './batch-norm.js';
import { convolution, depthwiseConvolution } from './convolution.js';
import { dense } from './dense.js';
import { embedding } from './embedding.js';
import { gru } from './gru.js';
import { layerNorm } from './layer-norm.js';
import { categoricalCrossentropy } from './losses.js';
import { lstm } from './lstm.js';
import { maxPool } from './max-pooling.js';
import { globalAverage, globalMax } from './pooling.js';
import { simpleRnn } from './simple-rnn.js';

export { registerSoftmaxGradient } from './activations.js';

export const fusedOperations: FusedOperations = {
  isInline,
  isActivation,
  activation,
  dense,
  convolution,
  depthwiseConvolution,
  batchNorm,
  movingAverage,
  layerNorm,
  maxPool,
  globalAverage,
  globalMax,
  embedding,
  simpleRnn,
  lstm,
  gru,
  categoricalCrossentropy,
};
