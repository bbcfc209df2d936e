/**
 * The layers that a random model is made of. Each family has variants for some ranks; three small numbers choose among
 * them and their arguments, 0 being the plainest, so that smaller numbers make simpler layers.
 */
import type { Config, LayerSpec, SampleShape } from './spec.js';

export interface Knobs {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly frozen: boolean;
  /** 0 for no weight penalty. */
  readonly penalty: number;
}

/** A layer for a value of this shape, or `undefined` where the family has none. */
export type Family = (shape: SampleShape, knobs: Knobs) => LayerSpec | undefined;

export function pick<T>(list: readonly T[], index: number): T {
  return list[index % list.length]!;
}

export const ACTIVATIONS = [
  'linear',
  'relu',
  'tanh',
  'sigmoid',
  'elu',
  'softplus',
  'selu',
  'softsign',
  'swish',
] as const;

/** Names of the weights that may carry a penalty, by layer. */
const PENALIZED: Readonly<Record<string, readonly string[]>> = {
  dense: ['kernel', 'bias'],
  conv1d: ['kernel', 'bias'],
  conv2d: ['kernel', 'bias'],
  conv2dTranspose: ['kernel'],
  depthwiseConv2d: ['depthwise'],
  separableConv2d: ['depthwise', 'pointwise'],
  simpleRNN: ['kernel', 'recurrent'],
  lstm: ['kernel', 'bias'],
  gru: ['recurrent', 'bias'],
  batchNormalization: ['gamma'],
  embedding: ['embeddings'],
  prelu: ['alpha'],
};

/** A layer with its arguments; only those that are not tfjs's defaults, so that what is printed is short. */
function layer(
  name: string,
  config: Config,
  { frozen, penalty }: Knobs,
  inner?: readonly LayerSpec[],
): LayerSpec {
  const extra: Record<string, unknown> = {};
  if (frozen) extra['trainable'] = false;
  const weights = PENALIZED[name];
  if (penalty > 0 && weights !== undefined) {
    const strength = penalty % 2 === 0 ? { l1: 0.01, l2: 0.02 } : { l1: 0, l2: 0.03 };
    extra[`${pick(weights, penalty - 1)}Regularizer`] = { className: 'L1L2', config: strength };
  }
  return { layer: name, config: { ...config, ...extra }, ...(inner === undefined ? {} : { inner }) };
}

function activated(knobs: Knobs, config: Config): Config {
  const activation = pick(ACTIVATIONS, knobs.b);
  return {
    ...config,
    ...(activation === 'linear' ? {} : { activation }),
    ...(knobs.c % 4 === 3 ? { useBias: false } : {}),
  };
}

const dense: Family = (_, knobs) => layer('dense', activated(knobs, { units: 2 + (knobs.a % 5) }), knobs);

const conv1d: Family = ([steps = 0], knobs) => {
  const kernelSize = Math.min(steps, 1 + (knobs.c % 3));
  const padding = pick([{}, { padding: 'same' }], knobs.b);
  const strides = pick([{}, {}, { strides: 2 }], knobs.a + knobs.c);
  return layer(
    'conv1d',
    activated(knobs, { filters: 1 + (knobs.a % 4), kernelSize, ...padding, ...strides }),
    knobs,
  );
};

const spatial = ([rows = 0, columns = 0]: SampleShape, { a, b, c }: Knobs): Config => ({
  kernelSize: [Math.min(rows, 1 + (a % 3)), Math.min(columns, 1 + (c % 3))],
  ...pick([{}, { padding: 'same' }], b),
  ...pick([{}, {}, { strides: 2 }], a + c),
});

const conv2d: Family = (shape, knobs) =>
  layer('conv2d', activated(knobs, { filters: 1 + (knobs.a % 4), ...spatial(shape, knobs) }), knobs);

const depthwise: Family = (shape, knobs) =>
  layer(
    'depthwiseConv2d',
    activated(knobs, { depthMultiplier: 1 + (knobs.a % 2), ...spatial(shape, knobs) }),
    knobs,
  );

const separable: Family = (shape, knobs) =>
  layer('separableConv2d', activated(knobs, { filters: 1 + (knobs.a % 4), ...spatial(shape, knobs) }), knobs);

const transposed: Family = (_, knobs) =>
  layer(
    'conv2dTranspose',
    activated(knobs, {
      filters: 1 + (knobs.a % 3),
      kernelSize: 1 + (knobs.c % 3),
      ...pick([{}, { strides: 2 }], knobs.b),
      padding: 'same',
    }),
    knobs,
  );

/** tfjs's gradient of `unstack` fails where there is one part alone, and so do layers over a sequence of one step. */
const LEAST_STEPS = 2;

/** The same inner layer at every step. */
function atEveryStep(family: Family): Family {
  return ([steps = 0, ...shape], knobs) => {
    if (steps < LEAST_STEPS) return undefined;
    const inner = family(shape, knobs);
    return inner && layer('timeDistributed', {}, { ...knobs, penalty: 0 }, [inner]);
  };
}

const RECURRENT = ['simpleRNN', 'lstm', 'gru'] as const;
const CELLS = ['simpleRNNCell', 'lstmCell', 'gruCell'] as const;

function recurrentConfig({ a, b, c }: Knobs, kind: string): Config {
  return {
    units: 1 + (a % 4),
    ...(c % 2 === 0 ? { returnSequences: true } : {}),
    ...pick(
      [{}, {}, { goBackwards: true }, { useBias: false }, { dropout: 0.3 }, { recurrentDropout: 0.4 }],
      b,
    ),
    ...(kind === 'simpleRNN' ? {} : pick([{}, { recurrentActivation: 'sigmoid' }], a + b)),
    ...(kind === 'gru' && c % 3 === 1 ? { implementation: 1 } : {}),
  };
}

const recurrent: Family = (_, knobs) => {
  const kind = pick(RECURRENT, knobs.a);
  return layer(kind, recurrentConfig(knobs, kind), knobs);
};

const bidirectional: Family = (_, knobs) => {
  const kind = pick(RECURRENT, knobs.a);
  const { goBackwards: _backwards, ...config } = recurrentConfig(knobs, kind);
  const mergeMode = pick(['concat', 'sum', 'mul', 'ave'], knobs.b);
  return layer('bidirectional', { mergeMode }, knobs, [layer(kind, config, { ...knobs, frozen: false })]);
};

const stackedCells: Family = (_, knobs) => {
  const cells = [0, 1].map(place =>
    layer(
      pick(CELLS, knobs.a + place * knobs.b),
      { units: 2 + ((knobs.c + place) % 3) },
      { ...knobs, frozen: false, penalty: 0 },
    ),
  );
  return layer('rnn', knobs.c % 2 === 0 ? { returnSequences: true } : {}, knobs, cells);
};

const affine: Family = (shape, knobs) => {
  const variants: Readonly<Record<number, readonly Family[]>> = {
    1: [dense],
    2: [dense, conv1d, atEveryStep(dense)],
    3: [conv2d, depthwise, separable, transposed, dense, atEveryStep(conv1d)],
  };
  const list = variants[shape.length];
  return list && (pick(list, knobs.a + knobs.c)(shape, knobs) ?? list[0]!(shape, knobs));
};

const sequence: Family = (shape, knobs) => {
  if (shape.length === 3) return atEveryStep(sequence)(shape, { ...knobs, frozen: false });
  if (shape.length !== 2 || shape[0]! < LEAST_STEPS) return undefined;
  return pick([recurrent, recurrent, recurrent, bidirectional, stackedCells], knobs.b + knobs.c)(
    shape,
    knobs,
  );
};

const pool: Family = (shape, knobs) => {
  const { a, b, c } = knobs;
  if (shape.length < 2 || shape.length > 3) return undefined;
  const rank = `${shape.length - 1}d`;
  if (c % 4 === 3)
    return layer(pick([`globalAveragePooling${rank}`, `globalMaxPooling${rank}`], a), {}, knobs);
  const poolSize = 1 + (b % 2) + (b === 0 ? 1 : 0);
  const config = { poolSize, ...pick([{}, { strides: 1 }, { padding: 'same' }], c) };
  return layer(pick([`maxPooling${rank}`, `averagePooling${rank}`], a), config, knobs);
};

const normalize: Family = (_, knobs) =>
  pick(
    [
      layer('layerNormalization', {}, knobs),
      layer('batchNormalization', pick([{}, { momentum: 0.8 }], knobs.b), knobs),
    ],
    knobs.a,
  );

const activate: Family = (_, knobs) => {
  const { a, b } = knobs;
  const activation = { activation: pick(ACTIVATIONS, 1 + b) };
  return pick(
    [
      layer('activation', activation, knobs),
      layer('leakyReLU', { alpha: 0.1 }, knobs),
      layer('elu', {}, knobs),
      layer('prelu', {}, knobs),
      // The default is axis 1, which tfjs cannot do for more than vectors.
      layer('softmax', { axis: -1 }, knobs),
      layer('reLU', b % 2 === 0 ? {} : { maxValue: 0.5 }, knobs),
    ],
    a,
  );
};

const noise: Family = (shape, knobs) => {
  const spatialDropout = shape.length === 2 ? [layer('spatialDropout1d', { rate: 0.3 }, knobs)] : [];
  return pick(
    [
      layer('dropout', { rate: 0.4 }, knobs),
      layer('gaussianNoise', { stddev: 0.3 }, knobs),
      layer('gaussianDropout', { rate: 0.2 }, knobs),
      layer('alphaDropout', { rate: 0.2 }, knobs),
      ...spatialDropout,
    ],
    knobs.a,
  );
};

const reshape: Family = (shape, knobs) => {
  const { a, b, c } = knobs;
  const size = shape.reduce((product, axis) => product * axis, 1);
  const halves = size % 2 === 0 ? size / 2 : size;
  const axes = shape.map((_, axis) => axis + 1);
  const everywhere = [
    ...(shape.length > 1 ? [layer('flatten', {}, knobs)] : []),
    layer('reshape', { targetShape: [halves, size / halves] }, knobs),
    layer(
      'reshape',
      { targetShape: pick([[size], [1, halves, size / halves], [halves, size / halves, 1]], c) },
      knobs,
    ),
  ];
  const byRank: Readonly<Record<number, readonly LayerSpec[]>> = {
    1: [layer('repeatVector', { n: 2 + (b % 3) }, knobs)],
    2: [layer('permute', { dims: [2, 1] }, knobs), layer('masking', { maskValue: 0 }, knobs)],
    3: [
      layer('permute', { dims: b % 2 === 0 ? [2, 1, 3] : [...axes].reverse() }, knobs),
      layer('zeroPadding2d', { padding: 1 }, knobs),
      layer(
        'cropping2D',
        {
          cropping: [
            [1, 0],
            [0, 1],
          ],
        },
        knobs,
      ),
      layer('upSampling2d', { size: [2, 1] }, knobs),
    ],
  };
  return pick([...everywhere, ...(byRank[shape.length] ?? [])], a);
};

/** A chain of two or three layers that keep the shape apart from the last axis, as a model of its own. */
const nest: Family = (shape, knobs) => {
  const { a, b, c, frozen } = knobs;
  const plain = { ...knobs, frozen: false };
  const parts = [
    affine(shape, { ...plain, a: 0, c: 0, b: b + 1, frozen: frozen && c % 2 === 0 }),
    pick([activate, normalize, noise, activate], b)(shape, { ...plain, penalty: 0 }),
    ...(c % 3 === 0 ? [] : [dense(shape, { ...plain, a: (shape[shape.length - 1] ?? 2) + 3, b: c })]),
  ].filter(part => part !== undefined);
  const isWholeFrozen = frozen && c % 2 === 1;
  const config = {
    ...(isWholeFrozen ? { trainable: false } : {}),
    ...(a % 2 === 1 ? { residual: true } : {}),
  };
  return { layer: 'model', config, inner: parts };
};

/** From plain to elaborate: a failing model shrinks towards the front. */
export const FAMILIES = {
  affine,
  activate,
  reshape,
  pool,
  normalize,
  noise,
  sequence,
  nest,
} as const satisfies Record<string, Family>;

export type FamilyName = keyof typeof FAMILIES;

export const embedding = (knobs: Knobs, inputDim: number, maskZero: boolean): LayerSpec =>
  layer('embedding', { inputDim, outputDim: 2 + (knobs.a % 3), ...(maskZero ? { maskZero } : {}) }, knobs);

export const merges = ['add', 'multiply', 'average', 'maximum', 'minimum'] as const;
