/** The numbers that a random layer is made from, and how they become its arguments: 0 is the plainest. */
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
export function layer(
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

export function activated(knobs: Knobs, config: Config): Config {
  const activation = pick(ACTIVATIONS, knobs.b);
  return {
    ...config,
    ...(activation === 'linear' ? {} : { activation }),
    ...(knobs.c % 4 === 3 ? { useBias: false } : {}),
  };
}
