/**
 * What is fused on which backend, as data: one row a kernel. Those `OfOps` stand in where Millrace's own
 * ops have not been compiled. Tests hold the rows against what is registered and against what
 * each kernel does.
 */
import type { BackendName } from '../protocol/stage-spec.js';

export interface FusedKernelRow {
  readonly kernel: string;
  readonly backends: readonly BackendName[];
  /** Layer classes that run on it, and losses by their tfjs names. */
  readonly usedBy: readonly string[];
  /** Whether the gradient of the input can be had without those of the weights; `undefined` for one without weights. */
  readonly separatesWeights: boolean | undefined;
}

const TENSORFLOW: readonly BackendName[] = ['tensorflow'];

export const FUSED_KERNELS: readonly FusedKernelRow[] = [
  { kernel: 'MillraceDense', backends: TENSORFLOW, usedBy: ['Dense'], separatesWeights: true },
  {
    kernel: 'MillraceConvolution',
    backends: TENSORFLOW,
    usedBy: ['Conv1D', 'Conv2D', 'SeparableConv2D'],
    separatesWeights: true,
  },
  {
    kernel: 'MillraceDepthwiseConvolution',
    backends: TENSORFLOW,
    usedBy: ['DepthwiseConv2D', 'SeparableConv2D'],
    separatesWeights: true,
  },
  {
    // The gradient of the input is made of those of gamma and beta.
    kernel: 'MillraceBatchNorm',
    backends: TENSORFLOW,
    usedBy: ['BatchNormalization'],
    separatesWeights: false,
  },
  {
    // TensorFlow's op makes all three in one pass.
    kernel: 'MillraceBatchNormOfOps',
    backends: TENSORFLOW,
    usedBy: ['BatchNormalization'],
    separatesWeights: false,
  },
  {
    kernel: 'MillraceLayerNorm',
    backends: TENSORFLOW,
    usedBy: ['LayerNormalization'],
    separatesWeights: true,
  },
  {
    kernel: 'MillraceLayerNormOfOps',
    backends: TENSORFLOW,
    usedBy: ['LayerNormalization'],
    separatesWeights: true,
  },
  {
    kernel: 'MillraceActivationOfOutput',
    backends: TENSORFLOW,
    usedBy: ['Activation', 'ReLU', 'Softmax'],
    separatesWeights: undefined,
  },
  {
    kernel: 'MillraceActivationOfInput',
    backends: TENSORFLOW,
    usedBy: ['Activation', 'LeakyReLU'],
    separatesWeights: undefined,
  },
  { kernel: 'MillraceEmbedding', backends: TENSORFLOW, usedBy: ['Embedding'], separatesWeights: true },
  { kernel: 'MillraceSimpleRnn', backends: TENSORFLOW, usedBy: ['SimpleRNN'], separatesWeights: true },
  { kernel: 'MillraceLstm', backends: TENSORFLOW, usedBy: ['LSTM'], separatesWeights: true },
  { kernel: 'MillraceLstmOfOps', backends: TENSORFLOW, usedBy: ['LSTM'], separatesWeights: true },
  { kernel: 'MillraceHeapLstm', backends: ['wasm'], usedBy: ['LSTM'], separatesWeights: true },
  { kernel: 'MillraceGru', backends: TENSORFLOW, usedBy: ['GRU'], separatesWeights: true },
  { kernel: 'MillraceGruOfOps', backends: TENSORFLOW, usedBy: ['GRU'], separatesWeights: true },
  { kernel: 'MillraceHeapGru', backends: ['wasm'], usedBy: ['GRU'], separatesWeights: true },
  {
    kernel: 'MillraceMaxPool',
    backends: TENSORFLOW,
    usedBy: ['MaxPooling1D', 'MaxPooling2D'],
    separatesWeights: undefined,
  },
  {
    kernel: 'MillraceGlobalAverage',
    backends: TENSORFLOW,
    usedBy: ['GlobalAveragePooling1D', 'GlobalAveragePooling2D'],
    separatesWeights: undefined,
  },
  {
    kernel: 'MillraceGlobalMax',
    backends: TENSORFLOW,
    usedBy: ['GlobalMaxPooling1D'],
    separatesWeights: undefined,
  },
  {
    // Of few probabilities: computed in JavaScript.
    kernel: 'MillraceCategoricalCrossentropy',
    backends: TENSORFLOW,
    usedBy: ['categoricalCrossentropy'],
    separatesWeights: undefined,
  },
  {
    kernel: 'MillraceLargeCrossentropy',
    backends: TENSORFLOW,
    usedBy: ['categoricalCrossentropy'],
    separatesWeights: undefined,
  },
];
