/** Batch norm in training; outside it, tfjs's own kernel is one op already. */
import * as tf from '@tensorflow/tfjs';
import { type Lowering, takeOver, type Weight } from './layer-call.js';

interface BatchNormLayer {
  readonly axis: number;
  readonly momentum: number;
  readonly epsilon: number;
  readonly gamma?: Weight;
  readonly beta?: Weight;
  readonly movingMean: Weight;
  readonly movingVariance: Weight;
}

export const batchNorm: Lowering = (layer, operations) => {
  const { axis, momentum, epsilon, gamma, beta, movingMean, movingVariance } =
    layer as unknown as BatchNormLayer;
  if (gamma === undefined || beta === undefined) return undefined;
  const move = (average: Weight, value: tf.Tensor): void => {
    tf.tidy(() => {
      average.write(operations.movingAverage(average.read(), value, momentum));
    });
  };
  return (input, { training, following }) => {
    const isLastAxis = axis === -1 || axis === input.rank - 1;
    if (training !== true || !isLastAxis || input.rank < 2) return undefined;
    const settings = { epsilon, activation: takeOver(following, operations) };
    return operations.batchNorm(input, gamma.read(), beta.read(), settings, (mean, variance) => {
      move(movingMean, mean);
      move(movingVariance, variance);
    });
  };
};
