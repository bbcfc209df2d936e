/**
 * The layers that a random model is made of. Each family has variants for some ranks; three small numbers choose among
 * them and their arguments, 0 being the plainest, so that smaller numbers make simpler layers.
 */
import { ACTIVATIONS, activated, type Family, type Knobs, layer, pick } from './knobs.js';
import { bidirectional, recurrent, stackedCells } from './recurrent-kinds.js';
import type { Config, LayerSpec, SampleShape } from './spec.js';

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
