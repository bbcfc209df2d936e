/**
 * Makes tfjs's random layers draw from the counter-based generator, keyed by seed, step, layer, call and sample. The masks
 * are then the same for any cut and any number of micro-batches, and when a forward pass is run again.
 *
 * tfjs draws inside each layer's `call` from generators that cannot be reached, so `call` is replaced on the instances that
 * a worker has built; recurrent cells take a function for it. The mathematics is tfjs's own.
 */
import { tf } from '../../tf.js';
import { disposeRecurrentState, innerLayers, insideAndItself, type Layer } from '../../tfjs/internals.js';
import { hashPath, normal, type RandomKey, uniform } from './counter.js';

/** Which samples a worker is working on; every random layer of the worker reads it. */
export class RandomContext {
  readonly #seed: number;
  #step = 0;
  #firstSample = 0;
  readonly #calls = new Map<number, number>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Begins a forward pass, the first or a repeated one, over samples from `firstSample` on. */
  begin(step: number, firstSample: number): void {
    this.#step = step;
    this.#firstSample = firstSample;
    this.#calls.clear();
  }

  /**
   * Numbers for a tensor whose first axis counts samples.
   *
   * @param isShared whether all samples of the mini-batch get the same numbers; the first axis is 1 then
   */
  draw(layer: number, shape: readonly number[], distribution: typeof uniform, isShared = false): tf.Tensor {
    const call = this.#calls.get(layer) ?? 0;
    this.#calls.set(layer, call + 1);
    const key: RandomKey = { seed: this.#seed, step: this.#step, layer, call };
    const [samples = 1, ...rest] = shape;
    const firstSample = isShared ? 0 : this.#firstSample;
    const size = rest.reduce((product, axis) => product * axis, 1);
    return tf.tensor(distribution(key, firstSample, samples, size), [...shape]);
  }
}

/** The replaced `call` of one kind of layer: what it does to its input when training. */
type RandomCall = (layer: RandomLayer, input: tf.Tensor, draw: Draw) => tf.Tensor;
type Draw = (shape: readonly number[], distribution: typeof uniform, isShared?: boolean) => tf.Tensor;

interface RandomLayer {
  rate: number;
  stddev: number;
  noiseShape?: readonly (number | null)[] | null;
  getNoiseShape?(input: tf.Tensor): readonly number[] | null | undefined;
  call(inputs: tf.Tensor | tf.Tensor[], kwargs: { training?: boolean }): tf.Tensor | tf.Tensor[];
}

/** Inverted dropout: kept elements are divided by the probability of keeping them. */
function drop(input: tf.Tensor, rate: number, numbers: tf.Tensor): tf.Tensor {
  const kept = tf.greaterEqual(numbers, rate);
  return tf.mul(input, tf.div(tf.cast(kept, 'float32'), 1 - rate));
}

/** Whether a noise shape gives all samples the same noise: `null` there stands for the size of the input's axis. */
function isShared({ noiseShape }: RandomLayer): boolean {
  return noiseShape?.[0] === 1;
}

const dropout: RandomCall = (layer, input, draw) =>
  drop(input, layer.rate, draw(layer.getNoiseShape?.(input) ?? input.shape, uniform, isShared(layer)));

/** Constants of self-normalising networks (Klambauer et al. 2017, arXiv 1706.02515). */
const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;

const alphaDropout: RandomCall = (layer, input, draw) => {
  const { rate } = layer;
  const dropped = -SELU_ALPHA * SELU_SCALE;
  const shape = input.shape.map((size, axis) => layer.noiseShape?.[axis] ?? size);
  const kept = tf.cast(tf.greaterEqual(draw(shape, uniform, isShared(layer)), rate), 'float32');
  const scale = ((1 - rate) * (1 + rate * dropped ** 2)) ** -0.5;
  const shift = -scale * dropped * rate;
  return tf.add(tf.mul(tf.add(tf.mul(input, kept), tf.mul(tf.add(kept, -1), dropped)), scale), shift);
};

const gaussianDropout: RandomCall = ({ rate }, input, draw) =>
  tf.mul(input, tf.add(tf.mul(draw(input.shape, normal), Math.sqrt(rate / (1 - rate))), 1));

const gaussianNoise: RandomCall = ({ stddev }, input, draw) =>
  tf.add(input, tf.mul(draw(input.shape, normal), stddev));

const RANDOM_CALLS: ReadonlyMap<string, RandomCall> = new Map([
  ['Dropout', dropout],
  ['SpatialDropout1D', dropout],
  ['AlphaDropout', alphaDropout],
  ['GaussianDropout', gaussianDropout],
  ['GaussianNoise', gaussianNoise],
]);

/**
 * Replaces the randomness of a layer and of all layers inside it. Layers without any stay as they are.
 *
 * @param path the layer's place in the model: positions, not names, which tfjs counts up with every new model
 */
export function useCounterRandom(layer: Layer, path: string, context: RandomContext): void {
  const id = hashPath(path);
  const randomCall = RANDOM_CALLS.get(layer.getClassName());
  if (randomCall !== undefined) replaceCall(layer as unknown as RandomLayer, id, randomCall, context);
  if ('dropoutFunc' in layer) {
    (layer as { dropoutFunc: unknown }).dropoutFunc = (ones: tf.Tensor, rate: number) =>
      drop(ones, rate, context.draw(id, ones.shape, uniform));
  }
  if (layer.getClassName() === 'RNN') renewMasks(layer);
  for (const [index, inner] of innerLayers(layer).entries()) {
    useCounterRandom(inner, `${path}/${index}`, context);
  }
}

function replaceCall(layer: RandomLayer, id: number, randomCall: RandomCall, context: RandomContext): void {
  const callWithoutNoise = layer.call.bind(layer);
  layer.call = (inputs, kwargs) => {
    // A rate of 0 draws nothing in tfjs either; layers with `stddev` have no rate.
    if (kwargs?.training !== true || layer.rate === 0 || layer.rate === 1)
      return callWithoutNoise(inputs, kwargs);
    const input = (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor;
    return tf.tidy(() => randomCall(layer, input, (...request) => context.draw(id, ...request)));
  };
}

/**
 * Makes a generic `tf.layers.rnn` forget its cells' masks before each call, as tfjs's LSTM, GRU and SimpleRNN do. Without
 * this the first mask would serve for ever, for other samples and outside training too.
 */
function renewMasks(layer: Layer): void {
  const call = layer.call.bind(layer);
  layer.call = (inputs, kwargs) => {
    innerLayers(layer).flatMap(insideAndItself).forEach(disposeRecurrentState);
    return call(inputs, kwargs);
  };
}
