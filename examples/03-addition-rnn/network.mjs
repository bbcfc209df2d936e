/**
 * The network that is trained: one LSTM reads the question, its last state is handed on once per character of the answer,
 * and a second LSTM writes the answer.
 */
import * as tf from '@tensorflow/tfjs';
import { answerLength, CHARACTER_COUNT, questionLength } from './sums.mjs';

/** Built and compiled, with the same first weights every time. */
export function createNetwork(digits, units, learningRate) {
  const network = tf.sequential({
    name: 'addition',
    layers: [
      lstm('read', units, 1, { inputShape: [questionLength(digits), CHARACTER_COUNT] }),
      tf.layers.repeatVector({ name: 'repeat', n: answerLength(digits) }),
      lstm('write', units, 3, { returnSequences: true }),
      tf.layers.timeDistributed({
        name: 'characters',
        layer: tf.layers.dense({
          units: CHARACTER_COUNT,
          activation: 'softmax',
          kernelInitializer: tf.initializers.glorotUniform({ seed: 5 }),
        }),
      }),
    ],
  });
  network.compile({
    optimizer: tf.train.adam(learningRate),
    loss: 'categoricalCrossentropy',
    metrics: ['accuracy'],
  });
  return network;
}

function lstm(name, units, seed, more) {
  return tf.layers.lstm({
    name,
    units,
    recurrentActivation: 'sigmoid',
    kernelInitializer: tf.initializers.glorotUniform({ seed }),
    recurrentInitializer: tf.initializers.glorotNormal({ seed: seed + 1 }),
    ...more,
  });
}
