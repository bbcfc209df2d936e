/**
 * Operations that a backend may compute in fewer passes than tfjs does, with the same results. Each records itself on tfjs's
 * tape as one node, whose gradients are computed one by one and only when they are asked for.
 */
import type * as tf from '@tensorflow/tfjs';

/** Activations that kernels of other layers apply inside, and `activation` by itself. */
export type FusedActivation =
  | 'linear'
  | 'relu'
  | 'sigmoid'
  | 'tanh'
  | 'elu'
  | 'softmax'
  | 'softplus'
  | 'softsign'
  | 'leakyRelu';

export interface ConvolutionSettings {
  /** Along height and width. */
  readonly strides: readonly [number, number];
  readonly padding: 'same' | 'valid';
  readonly activation: FusedActivation;
}

/** Along height and width. */
export interface PoolingSettings {
  readonly size: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly padding: 'same' | 'valid';
}

/** What all parts of a batch bring, this one's included, in the same order for everybody. It waits for the others. */
export type Exchange = (own: Float32Array) => readonly Float32Array[];

export interface BatchNormSettings {
  readonly epsilon: number;
  /** One that kernels apply inside. */
  readonly activation: FusedActivation;
  /** For a part of a batch, as replicas have: it is called once forward, and once back where the gradient of the input is wanted. */
  readonly exchange?: Exchange | undefined;
}

/** Gets a number a channel each, which stay the kernel's. */
export type OnStatistics = (mean: tf.Tensor, variance: tf.Tensor) => void;

/** How a recurrent layer goes through its steps. */
export interface StepSettings {
  readonly activation: 'tanh' | 'relu' | 'sigmoid' | 'linear';
  /** Whether the result is the sequence of outputs, not the last one. */
  readonly returnSequences: boolean;
  /** Whether time runs backwards; the sequence of outputs is in the order of computation, as tfjs gives it. */
  readonly goBackwards: boolean;
}

/** Of an LSTM or GRU. */
export interface RecurrentSettings extends StepSettings {
  readonly gate: 'sigmoid' | 'hardSigmoid';
}

export interface RecurrentWeights {
  readonly kernel: tf.Tensor;
  readonly recurrentKernel: tf.Tensor;
  readonly bias: tf.Tensor | undefined;
}

export interface FusedOperations {
  /** Whether kernels of dense and convolutional layers and of batch norm apply `name` inside. */
  isInline(name: string): name is FusedActivation;
  /** Whether `activation` knows `name`. */
  isActivation(name: string): name is FusedActivation;
  activation(x: tf.Tensor, name: FusedActivation, alpha?: number): tf.Tensor;
  /** Over the last axis of `x`, which has rank 2 or more. */
  dense(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | undefined, activation: FusedActivation): tf.Tensor;
  /** `x` is [batch, height, width, channels], or without height and with a filter of rank 3. */
  convolution(
    x: tf.Tensor,
    filter: tf.Tensor,
    bias: tf.Tensor | undefined,
    settings: ConvolutionSettings,
  ): tf.Tensor;
  depthwiseConvolution(
    x: tf.Tensor4D,
    filter: tf.Tensor4D,
    bias: tf.Tensor | undefined,
    settings: ConvolutionSettings,
  ): tf.Tensor;
  /**
   * Normalises over all axes but the last with the statistics of `x`, or of the whole batch that it is a part of, which
   * `onStatistics` may read while it runs; the variance is the biased one.
   */
  batchNorm(
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    settings: BatchNormSettings,
    onStatistics: OnStatistics,
  ): tf.Tensor;
  /** `average` moved towards `value` by 1 − `momentum`; not on the tape. */
  movingAverage(average: tf.Tensor, value: tf.Tensor, momentum: number): tf.Tensor;
  /** Normalises over the last axis of `x`, which has rank 2 or more. */
  layerNorm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: number): tf.Tensor;
  /** The maximum of each window of [batch, height, width, channels]; of equal ones the first gets the gradient. */
  maxPool(x: tf.Tensor4D, settings: PoolingSettings): tf.Tensor;
  /** The mean over all axes between the first and the last. */
  globalAverage(x: tf.Tensor): tf.Tensor;
  /** The maximum over axis 1 of [batch, steps, channels]. */
  globalMax(x: tf.Tensor3D): tf.Tensor;
  /** Rows of `table`. `indices` are int32 and may have any shape. */
  embedding(table: tf.Tensor, indices: tf.Tensor): tf.Tensor;
  simpleRnn(x: tf.Tensor3D, weights: RecurrentWeights, settings: StepSettings): tf.Tensor;
  lstm(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor;
  gru(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor;
  /** tfjs's categorical cross-entropy of probabilities, one value a row of the last axis. */
  categoricalCrossentropy(target: tf.Tensor, probabilities: tf.Tensor): tf.Tensor;
}
