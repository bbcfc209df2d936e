/** A tiny model for every layer class of tfjs-layers, in which the layer stands behind trainable weights. */
import * as tf from '@tensorflow/tfjs';

export interface LayerCase {
  /** Class name under which tfjs registers the layer. */
  readonly className: string;
  /** Distinguishes several cases of one class. */
  readonly variant: string;
  readonly inputShape: readonly number[];
  /** The layer under test; merging layers get two inputs. */
  readonly layer: () => tf.layers.Layer;
  /** Merging layers combine two branches. */
  readonly merges?: boolean;
  /** What goes in: numbers in [-1, 1), or whole numbers below this for layers that look something up. */
  readonly integersBelow?: number;
  /** Stands first in the model, because tfjs has no gradient for its input. */
  readonly isFirst?: boolean;
  /** Instead of 4, where cpu is wrong for batches. */
  readonly batchSize?: number;
  /** Instead of 0.02, where sums over many positions make the steps large. */
  readonly learningRate?: number;
}

const FLAT = [6];
const SEQUENCE = [5, 4];
const IMAGE = [6, 6, 3];
const VOLUME = [4, 4, 4, 2];
const FRAMES = [3, 5, 5, 2];

type Options = Partial<Omit<LayerCase, 'className' | 'inputShape' | 'layer'>>;

function one(
  className: string,
  inputShape: readonly number[],
  layer: () => tf.layers.Layer,
  options: Options = {},
): LayerCase {
  return { className, inputShape, layer, variant: '', ...options };
}

const L = tf.layers;

const core: LayerCase[] = [
  one('Dense', FLAT, () => L.dense({ units: 5, activation: 'relu' })),
  one('Dense', SEQUENCE, () => L.dense({ units: 5, activation: 'tanh' }), { variant: 'over a sequence' }),
  ...(
    [
      'elu',
      'selu',
      'relu6',
      'sigmoid',
      'hardSigmoid',
      'softplus',
      'softsign',
      'softmax',
      'swish',
      'mish',
    ] as const
  ).map(activation => one('Activation', FLAT, () => L.activation({ activation }), { variant: activation })),
  one('Flatten', IMAGE, () => L.flatten()),
  one('Reshape', FLAT, () => L.reshape({ targetShape: [3, 2] })),
  one('Permute', IMAGE, () => L.permute({ dims: [3, 1, 2] })),
  one('RepeatVector', FLAT, () => L.repeatVector({ n: 3 })),
  one('Masking', SEQUENCE, () => L.masking({ maskValue: 0 })),
  one('Rescaling', FLAT, () => L.rescaling({ scale: 2, offset: 1 })),
  one('Embedding', [5], () => L.embedding({ inputDim: 7, outputDim: 4 }), {
    integersBelow: 7,
    isFirst: true,
  }),
  one('CategoryEncoding', [7], () => L.categoryEncoding({ numTokens: 7, outputMode: 'multiHot' }), {
    integersBelow: 7,
    isFirst: true,
  }),
];

const activations: LayerCase[] = [
  one('ReLU', FLAT, () => L.reLU()),
  one('ReLU', FLAT, () => L.reLU({ maxValue: 0.5 }), { variant: 'with a ceiling' }),
  one('LeakyReLU', FLAT, () => L.leakyReLU({ alpha: 0.2 })),
  one('PReLU', IMAGE, () => L.prelu({ sharedAxes: [1, 2] })),
  one('ELU', FLAT, () => L.elu()),
  one('ThresholdedReLU', FLAT, () => L.thresholdedReLU({ theta: 0.1 })),
  one('Softmax', SEQUENCE, () => L.softmax({ axis: 2 })),
];

const convolutions: LayerCase[] = [
  one('Conv1D', [9, 3], () => L.conv1d({ filters: 4, kernelSize: 3, strides: 2, activation: 'relu' })),
  one('Conv1D', [9, 3], () => L.conv1d({ filters: 4, kernelSize: 3, padding: 'same' }), {
    variant: 'padded',
  }),
  one('Conv2D', IMAGE, () => L.conv2d({ filters: 4, kernelSize: 3, activation: 'relu' })),
  one('Conv2D', IMAGE, () => L.conv2d({ filters: 4, kernelSize: [2, 3], strides: [2, 1], padding: 'same' }), {
    variant: 'strided',
  }),
  one('Conv2D', [3, 6, 6], () => L.conv2d({ filters: 4, kernelSize: 3, dataFormat: 'channelsFirst' }), {
    variant: 'channels first',
  }),
  one(
    'Conv2DTranspose',
    IMAGE,
    () => L.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' }),
    { learningRate: 0.001 },
  ),
  one('Conv3D', VOLUME, () => L.conv3d({ filters: 3, kernelSize: 2, activation: 'relu' })),
  one('Conv3DTranspose', VOLUME, () => L.conv3dTranspose({ filters: 3, kernelSize: 2, strides: 2 }), {
    learningRate: 0.0002,
  }),
  one('DepthwiseConv2D', IMAGE, () =>
    L.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same' }),
  ),
  one('SeparableConv2D', IMAGE, () =>
    L.separableConv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' }),
  ),
  one('UpSampling2D', IMAGE, () => L.upSampling2d({ size: [2, 2] }), { batchSize: 1 }),
  one('UpSampling2D', IMAGE, () => L.upSampling2d({ size: [2, 2], interpolation: 'bilinear' }), {
    variant: 'bilinear',
  }),
  one('Cropping2D', IMAGE, () =>
    L.cropping2D({
      cropping: [
        [1, 1],
        [2, 0],
      ],
    }),
  ),
  one('ZeroPadding2D', IMAGE, () =>
    L.zeroPadding2d({
      padding: [
        [1, 0],
        [2, 1],
      ],
    }),
  ),
];

const pooling: LayerCase[] = [
  one('MaxPooling1D', SEQUENCE, () => L.maxPooling1d({ poolSize: 2 })),
  one('AveragePooling1D', SEQUENCE, () => L.averagePooling1d({ poolSize: 2, padding: 'same' })),
  one('MaxPooling2D', IMAGE, () => L.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  one('AveragePooling2D', IMAGE, () => L.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  one('MaxPooling3D', VOLUME, () => L.maxPooling3d({ poolSize: 2 })),
  one('AveragePooling3D', VOLUME, () => L.averagePooling3d({ poolSize: 2, strides: 1, padding: 'same' })),
  one('GlobalMaxPooling1D', SEQUENCE, () => L.globalMaxPooling1d()),
  one('GlobalAveragePooling1D', SEQUENCE, () => L.globalAveragePooling1d()),
  one('GlobalMaxPooling2D', IMAGE, () => L.globalMaxPooling2d({})),
  one('GlobalAveragePooling2D', IMAGE, () => L.globalAveragePooling2d({})),
];

const normalization: LayerCase[] = [
  one('BatchNormalization', IMAGE, () => L.batchNormalization({ momentum: 0.5 })),
  one('BatchNormalization', FLAT, () => L.batchNormalization(), { variant: 'of vectors' }),
  one('LayerNormalization', SEQUENCE, () => L.layerNormalization()),
  one('Dropout', FLAT, () => L.dropout({ rate: 0.3, seed: 1 })),
  one('SpatialDropout1D', SEQUENCE, () => L.spatialDropout1d({ rate: 0.3, seed: 1 })),
  one('GaussianNoise', FLAT, () => L.gaussianNoise({ stddev: 0.1 })),
  one('GaussianDropout', FLAT, () => L.gaussianDropout({ rate: 0.2 })),
  one('AlphaDropout', FLAT, () => L.alphaDropout({ rate: 0.2 })),
];

const recurrent: LayerCase[] = [
  one('SimpleRNN', SEQUENCE, () => L.simpleRNN({ units: 3, returnSequences: true })),
  one('LSTM', SEQUENCE, () => L.lstm({ units: 3, recurrentActivation: 'sigmoid' })),
  one('LSTM', SEQUENCE, () => L.lstm({ units: 3, dropout: 0.2, recurrentDropout: 0.2 }), {
    variant: 'with dropout',
  }),
  one('GRU', SEQUENCE, () => L.gru({ units: 3, goBackwards: true })),
  one('ConvLSTM2D', FRAMES, () => L.convLstm2d({ filters: 2, kernelSize: 3, padding: 'same' })),
  one('Bidirectional', SEQUENCE, () =>
    L.bidirectional({ layer: L.lstm({ units: 3 }) as tf.layers.RNN, mergeMode: 'concat' }),
  ),
  one('TimeDistributed', SEQUENCE, () => L.timeDistributed({ layer: L.dense({ units: 3 }) })),
  one('RNN', SEQUENCE, () => L.rnn({ cell: L.simpleRNNCell({ units: 3 }) as tf.layers.RNNCell })),
  one('StackedRNNCells', SEQUENCE, () =>
    L.rnn({
      cell: L.stackedRNNCells({
        cells: [L.gruCell({ units: 3 }), L.lstmCell({ units: 2 })] as tf.layers.RNNCell[],
      }),
    }),
  ),
];

const merging: LayerCase[] = [
  one('Add', FLAT, () => L.add(), { merges: true }),
  one('Multiply', FLAT, () => L.multiply(), { merges: true }),
  one('Average', FLAT, () => L.average(), { merges: true }),
  one('Maximum', FLAT, () => L.maximum(), { merges: true }),
  one('Minimum', FLAT, () => L.minimum(), { merges: true }),
  one('Concatenate', SEQUENCE, () => L.concatenate({ axis: -1 }), { merges: true }),
  one('Dot', SEQUENCE, () => L.dot({ axes: 2 }), { merges: true }),
];

export const LAYER_CASES: readonly LayerCase[] = [
  ...core,
  ...activations,
  ...convolutions,
  ...pooling,
  ...normalization,
  ...recurrent,
  ...merging,
];

/** Registered classes that are no layers to train by themselves. */
export const CONTAINERS_AND_CELLS: ReadonlySet<string> = new Set([
  ...['InputLayer', 'Model', 'Functional', 'Sequential'],
  ...['SimpleRNNCell', 'GRUCell', 'LSTMCell', 'ConvLSTM2DCell'],
]);

/** Preprocessing layers that tfjs 4.22 cannot run inside of a model, on any backend. */
export const UNTRAINABLE_CASES: readonly (LayerCase & { readonly reason: string })[] = [
  {
    ...one('CenterCrop', IMAGE, () => L.centerCrop({ height: 4, width: 4 }), { isFirst: true }),
    reason: 'overwrites the declared shape of its input',
  },
  {
    ...one('Resizing', IMAGE, () => L.resizing({ height: 4, width: 4 }), { isFirst: true }),
    reason: 'takes its list of inputs for a tensor',
  },
  {
    ...one('RandomWidth', IMAGE, () => L.randomWidth({ factor: 0.5, seed: 1 }), { isFirst: true }),
    reason: 'leaves the width of its output open',
  },
];

/** inputs → [branches with weights →] layer under test → dense → loss. */
export function buildModel({
  inputShape,
  layer,
  merges,
  isFirst,
  learningRate = 0.02,
}: LayerCase): tf.LayersModel {
  const input = tf.input({ shape: [...inputShape] });
  const width = inputShape.at(-1) as number;
  const branch = (): tf.SymbolicTensor =>
    isFirst === true
      ? input
      : (L.dense({ units: width, activation: 'tanh' }).apply(input) as tf.SymbolicTensor);
  const tested = layer().apply(merges === true ? [branch(), branch()] : branch()) as tf.SymbolicTensor;
  const flat = tested.shape.length === 2 ? tested : L.flatten().apply(tested);
  const output = L.dense({ units: 2 }).apply(flat as tf.SymbolicTensor) as tf.SymbolicTensor;
  const model = tf.model({ inputs: input, outputs: output });
  model.compile({ optimizer: tf.train.sgd(learningRate), loss: 'meanSquaredError' });
  return model;
}
