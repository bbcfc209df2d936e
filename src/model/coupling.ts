/**
 * Finds what does not split over samples, by trying: a function of a mini-batch splits if its value on the whole is
 * that of its parts. tfjs's own layers and losses are known; users' may do anything (subtract the batch's mean,
 * compare samples with each other, sum instead of average), and micro-batches would then change the training's numbers
 * without a word.
 */
import { tf } from '../tf.js';
import {
  compiled,
  insideAndItself,
  isBatchNorm,
  type Layer,
  type LossOrMetric,
  variableOf,
} from '../tfjs/internals.js';
import { lossesPerOutput } from './compile-spec.js';
import type { GraphLayer, ModelGraph } from './graph.js';
import { inferShapes } from './shapes.js';
import { canonicalWeights } from './weights.js';

export interface SampleCoupling {
  /** What ties the samples of a mini-batch together, in words, such as "layer 'center'"; `undefined` if nothing does. */
  readonly mixing: string | undefined;
  /** A layer whose forward pass gives other numbers every time, and which the counter-based generator cannot reach. */
  readonly unrepeatable: string | undefined;
  /** A layer that assigns to weights of its own in training, which replicas would do by other samples each. */
  readonly moving: string | undefined;
  /** Indices of outputs whose loss is one number for the whole mini-batch, which no sample's own weight can reach. */
  readonly scalarLosses: readonly number[];
}

/** tfjs's own layers: what they do to a sample does not depend on others. Batch normalization has rules of its own. */
const SAMPLE_WISE: ReadonlySet<string> = new Set(
  (
    'InputLayer Model Functional Sequential ReLU LeakyReLU PReLU ELU ThresholdedReLU Softmax Conv2D Conv3D ' +
    'Conv2DTranspose Conv3DTranspose SeparableConv2D Conv1D Cropping2D UpSampling2D DepthwiseConv2D RNN SimpleRNNCell ' +
    'SimpleRNN GRUCell GRU LSTMCell LSTM StackedRNNCells ConvLSTM2DCell ConvLSTM2D Dropout SpatialDropout1D Dense Flatten ' +
    'Activation RepeatVector Reshape Permute Masking Embedding Add Multiply Average Maximum Minimum Concatenate Dot ' +
    'GaussianNoise GaussianDropout AlphaDropout LayerNormalization ZeroPadding2D MaxPooling1D AveragePooling1D ' +
    'MaxPooling2D AveragePooling2D MaxPooling3D AveragePooling3D GlobalAveragePooling1D GlobalMaxPooling1D ' +
    'GlobalAveragePooling2D GlobalMaxPooling2D TimeDistributed Bidirectional Rescaling CenterCrop CategoryEncoding ' +
    'Resizing RandomWidth'
  ).split(' '),
);

const ROWS = 4;
/** The parts are of different sizes, so that an average of averages shows too. */
const FIRST_ROWS = 1;
/** Size that open axes (sequence lengths, image sizes) are tried with. */
const OPEN_AXIS = 16;
/** Sums in another order differ by far less, what mixes samples by far more. */
const TOLERANCE = 1e-3;

export function probeCoupling(graph: ModelGraph): SampleCoupling {
  const layers = graph.layers.filter(({ layer }) => insideAndItself(layer).some(part => !isOfTfjs(part)));
  const probes = layers.length === 0 ? [] : probeLayers(graph, layers);
  const losses = probeLosses(graph);
  return {
    mixing: [...probes, ...losses].find(({ splits }) => !splits)?.name,
    unrepeatable: probes.find(({ repeats }) => !repeats)?.name,
    moving: probes.find(({ moves }) => moves)?.name,
    scalarLosses: losses.filter(({ isScalar }) => isScalar).map(({ output }) => output),
  };
}

/** Whether a layer, inner layers aside, is one of tfjs's own. */
export function isOfTfjs(layer: Layer): boolean {
  return SAMPLE_WISE.has(layer.getClassName()) || isBatchNorm(layer);
}

// ---------------------------------------------------------------- layers

interface LayerProbe {
  readonly name: string;
  readonly splits: boolean;
  readonly repeats: boolean;
  readonly moves: boolean;
}

function probeLayers(graph: ModelGraph, layers: readonly GraphLayer[]): LayerProbe[] {
  const inputShapes = graph.inputs.map(value =>
    graph.values[value]!.shape.map((size, axis) => (axis === 0 ? ROWS : (size ?? OPEN_AXIS))),
  );
  const shapes = inferShapes(graph, inputShapes);
  return layers.map(({ layer, name, nodes }) => {
    const inputs = graph.nodes[nodes[0]!]!.inputs.map(id => ({
      shape: shapes[id]!,
      dtype: graph.values[id]!.dtype,
    }));
    return { name: `layer '${name}'`, ...withWeightsKept(layer, () => probeLayer(layer, inputs)) };
  });
}

interface InputKind {
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
}

function probeLayer(layer: Layer, kinds: readonly InputKind[]): Omit<LayerProbe, 'name'> {
  return tf.tidy(() => {
    const whole = kinds.map(({ shape, dtype }, index) =>
      tf.cast(tf.randomUniform([...shape], 0, 2, 'float32', index + 1), dtype as 'float32'),
    );
    const part = (start: number, count: number) => whole.map(input => tf.slice(input, start, count));
    // What a batch norm inside mixes has rules of its own; beside it, only what mixes outside training can be seen.
    const training = !insideAndItself(layer).some(isBatchNorm);
    let moves = false;
    const call = (inputs: tf.Tensor[]): tf.Tensor[] => {
      const result = withWeightsKept(layer, () => {
        const before = canonicalWeights(layer).map(weight => variableOf(weight).dataId);
        const made = layer.apply(inputs, { training });
        moves ||= canonicalWeights(layer).some(
          (weight, index) => variableOf(weight).dataId !== before[index],
        );
        return made;
      });
      return (Array.isArray(result) ? result : [result]) as tf.Tensor[];
    };
    try {
      const once = call(whole);
      // Numbers that differ every time say nothing about how samples are mixed.
      if (!areClose(once, call(whole))) return { splits: true, repeats: false, moves };
      const first = call(part(0, FIRST_ROWS));
      const second = call(part(FIRST_ROWS, ROWS - FIRST_ROWS));
      const joined = first.map((tensor, index) => tf.concat([tensor, second[index]!], 0));
      return { splits: areClose(once, joined), repeats: true, moves };
    } catch {
      // It takes no such input, or no such part of one: nothing speaks for splitting its samples.
      return { splits: false, repeats: true, moves };
    }
  });
}

/** Runs `call` and puts back every weight that it changed. */
function withWeightsKept<T>(layer: Layer, call: () => T): T {
  const before = canonicalWeights(layer).map(weight => {
    const variable = variableOf(weight);
    return { variable, dataId: variable.dataId, value: tf.keep(tf.clone(variable as tf.Tensor)) };
  });
  try {
    return call();
  } finally {
    for (const { variable, dataId, value } of before) {
      if (variable.dataId !== dataId) variable.assign(value);
      value.dispose();
    }
  }
}

// ---------------------------------------------------------------- losses

interface LossProbe {
  readonly name: string;
  readonly output: number;
  readonly splits: boolean;
  readonly isScalar: boolean;
}

/** Losses by name are tfjs's own, a number a sample each; only functions need a try. */
function probeLosses({ model }: ModelGraph): LossProbe[] {
  const { lossFunctions, outputNames } = compiled(model);
  return lossesPerOutput(model).flatMap((given, index) => {
    if (typeof given !== 'function') return [];
    const shape = model.outputs[index]!.shape.map((size, axis) => (axis === 0 ? ROWS : (size ?? OPEN_AXIS)));
    return [
      {
        name: `the loss of output '${outputNames[index]}'`,
        output: index,
        ...probeLoss(lossFunctions![index]!, shape as number[]),
      },
    ];
  });
}

function probeLoss(loss: LossOrMetric, shape: readonly number[]): Pick<LossProbe, 'splits' | 'isScalar'> {
  return tf.tidy(() => {
    const prediction = tf.softmax(tf.randomUniform([...shape], 0, 2, 'float32', 1));
    for (const target of targetsLike(shape)) {
      try {
        const once = loss(target, prediction);
        const parts = [
          [0, FIRST_ROWS],
          [FIRST_ROWS, ROWS - FIRST_ROWS],
        ] as const;
        const weighted = parts.map(([start, count]) => {
          const value = loss(tf.slice(target, start, count), tf.slice(prediction, start, count));
          return tf.mul(tf.mean(value), count / ROWS);
        });
        return { splits: areClose([tf.mean(once)], [tf.addN(weighted)]), isScalar: once.rank === 0 };
      } catch {
        // Perhaps it takes other targets.
      }
    }
    return { splits: false, isScalar: false };
  });
}

/** Targets that a loss may want: ones like the output, or class numbers. */
function targetsLike(shape: readonly number[]): tf.Tensor[] {
  const classes = shape[shape.length - 1]!;
  const leading = shape.slice(0, -1);
  const numbers = tf.floor(tf.randomUniform(leading, 0, classes, 'float32', 2));
  const like = classes > 1 ? tf.oneHot(tf.cast(numbers, 'int32'), classes, 1, 0, 'float32') : undefined;
  return [like ?? tf.randomUniform([...shape], 0, 1, 'float32', 2), tf.expandDims(numbers, -1), numbers];
}

function areClose(one: readonly tf.Tensor[], other: readonly tf.Tensor[]): boolean {
  return one.every((tensor, index) => {
    const twin = other[index]!;
    if (!tf.util.arraysEqual(tensor.shape, twin.shape)) return false;
    const values = tensor.dataSync();
    const twins = twin.dataSync();
    let scale = 1e-3;
    for (const value of values) scale = Math.max(scale, Math.abs(value));
    return values.every((value, place) => Math.abs(value - twins[place]!) <= TOLERANCE * scale);
  });
}
