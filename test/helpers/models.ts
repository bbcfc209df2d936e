/** Small models of every kind that a pipeline must handle. Each is built anew at every call, so that two can be compared. */
import * as tf from '@tensorflow/tfjs';
import { integers, oneHot, paddedTokens, uniform } from './data.js';

export interface Samples {
  readonly x: tf.Tensor | tf.Tensor[];
  readonly y: tf.Tensor | tf.Tensor[];
}

export interface ModelKind {
  readonly name: string;
  readonly build: () => tf.LayersModel;
  readonly loss: string | string[];
  readonly metrics: string[];
  readonly samples: (count: number, seed: number) => Samples;
}

const { layers } = tf;
const CLASSES = 4;

const classes = (count: number, seed: number): tf.Tensor => oneHot(count, CLASSES, seed + 100);
const vectors = (count: number, seed: number): Samples => ({
  x: uniform([count, 6], seed),
  y: classes(count, seed),
});
const softmax = (): tf.layers.Layer => layers.dense({ units: CLASSES, activation: 'softmax' });
const CLASSIFIER = { loss: 'categoricalCrossentropy', metrics: ['accuracy', 'mse'] };

export const mlp: ModelKind = {
  ...CLASSIFIER,
  name: 'an MLP',
  build: () =>
    tf.sequential({
      layers: [
        layers.dense({ inputShape: [6], units: 9, activation: 'relu' }),
        layers.dense({ units: 7, activation: 'tanh' }),
        layers.dense({ units: 8, activation: 'sigmoid', useBias: false }),
        layers.dense({ units: 5, activation: 'elu' }),
        softmax(),
      ],
    }),
  samples: vectors,
};

/** Its gradients are what was received, reshaped: nothing between two layers makes them anew. */
export const linear: ModelKind = {
  name: 'a linear model',
  loss: 'meanSquaredError',
  metrics: ['mae'],
  build: () =>
    tf.sequential({
      layers: [
        layers.dense({ inputShape: [6], units: 7 }),
        layers.dense({ units: 5 }),
        layers.reshape({ targetShape: [1, 5] }),
        layers.flatten(),
        layers.dense({ units: 3 }),
      ],
    }),
  samples: (count, seed) => ({ x: uniform([count, 6], seed), y: uniform([count, 3], seed + 1) }),
};

export const cnn: ModelKind = {
  ...CLASSIFIER,
  name: 'a CNN',
  build: () =>
    tf.sequential({
      layers: [
        layers.conv2d({
          inputShape: [8, 8, 2],
          filters: 4,
          kernelSize: 3,
          padding: 'same',
          activation: 'relu',
        }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.depthwiseConv2d({ kernelSize: 3, padding: 'same', activation: 'relu' }),
        layers.conv2d({ filters: 5, kernelSize: 2, strides: 2, activation: 'tanh' }),
        layers.averagePooling2d({ poolSize: 2, strides: 1 }),
        layers.flatten(),
        softmax(),
      ],
    }),
  samples: (count, seed) => ({ x: uniform([count, 8, 8, 2], seed), y: classes(count, seed) }),
};

/** With one layer a stage, the first layer's output skips two whole stages. */
export const skipping: ModelKind = {
  ...CLASSIFIER,
  name: 'a model with skip connections',
  build: () => {
    const input = tf.input({ shape: [6] });
    const first = layers.dense({ units: 8, activation: 'relu', name: 'first' }).apply(input);
    const second = layers.dense({ units: 8, activation: 'tanh', name: 'second' }).apply(first);
    const third = layers.dense({ units: 8, activation: 'relu', name: 'third' }).apply(second);
    const sum = layers.add({ name: 'sum' }).apply([first, third] as tf.SymbolicTensor[]);
    const all = layers.concatenate({ name: 'all' }).apply([sum, second, first] as tf.SymbolicTensor[]);
    return tf.model({ inputs: input, outputs: softmax().apply(all) as tf.SymbolicTensor });
  },
  samples: vectors,
};

const VOCABULARY = 11;

export const recurrent: ModelKind = {
  ...CLASSIFIER,
  name: 'an embedding and LSTMs',
  build: () =>
    tf.sequential({
      layers: [
        layers.embedding({ inputDim: VOCABULARY, outputDim: 5, inputLength: 6 }),
        layers.lstm({ units: 6, returnSequences: true }),
        layers.gru({ units: 5, returnSequences: true }),
        layers.bidirectional({ layer: layers.lstm({ units: 4 }) as tf.RNN, mergeMode: 'concat' }),
        softmax(),
      ],
    }),
  samples: (count, seed) => ({ x: integers([count, 6], seed, 0, VOCABULARY), y: classes(count, seed) }),
};

/** The embedding's mask goes through a dense layer to both recurrent layers, over whatever cuts lie between. */
export const masked: ModelKind = {
  ...CLASSIFIER,
  name: 'a masked embedding and LSTMs',
  build: () =>
    tf.sequential({
      layers: [
        layers.embedding({ inputDim: VOCABULARY, outputDim: 5, inputLength: 6, maskZero: true }),
        layers.dense({ units: 6, activation: 'tanh' }),
        layers.lstm({ units: 6, returnSequences: true }),
        layers.lstm({ units: 5 }),
        softmax(),
      ],
    }),
  samples: (count, seed) => ({ x: paddedTokens(count, 6, VOCABULARY, seed), y: classes(count, seed) }),
};

/** The first output is made in an early stage, the second in the last. */
export const branching: ModelKind = {
  name: 'a model with two inputs and two outputs',
  loss: ['categoricalCrossentropy', 'meanSquaredError'],
  metrics: ['mae'],
  build: () => {
    const left = tf.input({ shape: [6] });
    const right = tf.input({ shape: [3] });
    const ofLeft = layers.dense({ units: 7, activation: 'relu' }).apply(left);
    const label = layers.dense({ units: CLASSES, activation: 'softmax', name: 'label' }).apply(ofLeft);
    const ofRight = layers.dense({ units: 5, activation: 'tanh' }).apply(right);
    const both = layers.concatenate().apply([ofLeft, ofRight] as tf.SymbolicTensor[]);
    const hidden = layers.dense({ units: 6, activation: 'relu' }).apply(both);
    const amount = layers.dense({ units: 2, name: 'amount' }).apply(hidden);
    return tf.model({ inputs: [left, right], outputs: [label, amount] as tf.SymbolicTensor[] });
  },
  samples: (count, seed) => ({
    x: [uniform([count, 6], seed), uniform([count, 3], seed + 1)],
    y: [classes(count, seed), uniform([count, 2], seed + 2)],
  }),
};

export const regularized: ModelKind = {
  ...CLASSIFIER,
  name: 'an MLP with regularizers',
  build: () =>
    tf.sequential({
      layers: [
        layers.dense({
          inputShape: [6],
          units: 8,
          activation: 'relu',
          kernelRegularizer: tf.regularizers.l2({ l2: 0.05 }),
        }),
        layers.dense({
          units: 7,
          activation: 'tanh',
          kernelRegularizer: tf.regularizers.l1l2({ l1: 0.01, l2: 0.02 }),
          biasRegularizer: tf.regularizers.l1({ l1: 0.03 }),
        }),
        layers.dense({ units: 5, activation: 'relu' }),
        layers.dense({
          units: CLASSES,
          activation: 'softmax',
          kernelRegularizer: tf.regularizers.l2({ l2: 0.01 }),
        }),
      ],
    }),
  samples: vectors,
};

/** With a layer a stage, the first two stages have nothing to learn and get no gradient. */
export const frozenPrefix: ModelKind = {
  ...CLASSIFIER,
  name: 'an MLP with a frozen prefix',
  build: () =>
    tf.sequential({
      layers: [
        layers.dense({ inputShape: [6], units: 8, activation: 'relu', trainable: false }),
        layers.dense({ units: 7, activation: 'tanh', trainable: false }),
        layers.dense({ units: 5, activation: 'relu' }),
        softmax(),
      ],
    }),
  samples: vectors,
};

/** Frozen layers between ones that learn: gradients must pass through them. */
export const frozenMiddle: ModelKind = {
  ...CLASSIFIER,
  name: 'an MLP with a frozen layer in the middle',
  build: () =>
    tf.sequential({
      layers: [
        layers.dense({ inputShape: [6], units: 8, activation: 'relu' }),
        layers.dense({ units: 7, activation: 'tanh', trainable: false }),
        layers.dense({ units: 5, activation: 'relu' }),
        softmax(),
      ],
    }),
  samples: vectors,
};

export const shared: ModelKind = {
  ...CLASSIFIER,
  name: 'a model with a layer that is used twice',
  build: () => {
    const left = tf.input({ shape: [6] });
    const right = tf.input({ shape: [6] });
    const twice = layers.dense({
      units: 7,
      activation: 'tanh',
      kernelRegularizer: tf.regularizers.l2({ l2: 0.02 }),
      name: 'twice',
    });
    const difference = layers
      .concatenate()
      .apply([twice.apply(left), twice.apply(right)] as tf.SymbolicTensor[]);
    const hidden = layers.dense({ units: 6, activation: 'relu' }).apply(difference);
    return tf.model({ inputs: [left, right], outputs: softmax().apply(hidden) as tf.SymbolicTensor });
  },
  samples: (count, seed) => ({
    x: [uniform([count, 6], seed), uniform([count, 6], seed + 1)],
    y: classes(count, seed),
  }),
};

export const nested: ModelKind = {
  ...CLASSIFIER,
  name: 'a model with a nested model',
  build: () =>
    tf.sequential({
      layers: [
        layers.dense({ inputShape: [6], units: 8, activation: 'relu' }),
        tf.sequential({
          layers: [
            layers.dense({ inputShape: [8], units: 6, activation: 'tanh', trainable: false }),
            layers.dense({ units: 7, activation: 'relu' }),
          ],
        }),
        layers.dense({ units: 5, activation: 'tanh' }),
        softmax(),
      ],
    }),
  samples: vectors,
};

/** Its numbers depend on the other samples of a micro-batch, so it equals plain training with one micro-batch alone. */
export const normalized: ModelKind = {
  ...CLASSIFIER,
  name: 'a CNN with batch norm',
  build: () =>
    tf.sequential({
      layers: [
        layers.conv2d({ inputShape: [6, 6, 2], filters: 4, kernelSize: 3, padding: 'same' }),
        layers.batchNormalization({ momentum: 0.8 }),
        layers.activation({ activation: 'relu' }),
        layers.conv2d({ filters: 5, kernelSize: 3, padding: 'same' }),
        layers.batchNormalization(),
        layers.globalAveragePooling2d({}),
        softmax(),
      ],
    }),
  samples: (count, seed) => ({ x: uniform([count, 6, 6, 2], seed), y: classes(count, seed) }),
};

/** Every kind whose training is the same for any number of micro-batches. */
export const MODEL_KINDS: readonly ModelKind[] = [
  mlp,
  linear,
  cnn,
  skipping,
  recurrent,
  masked,
  branching,
  regularized,
  frozenPrefix,
  frozenMiddle,
  shared,
  nested,
];
