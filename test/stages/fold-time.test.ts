/** TimeDistributed layers in one call, against tfjs's calls step by step. */
import * as tf from '@tensorflow/tfjs';
import { expect, it, vi } from 'vitest';
import { foldTime } from '#internal/stages/fold-time.js';
import { expectSameLayer } from '../backends/fused/layer-oracle.js';
import { describeOnBackends } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { integers, uniform } from '../helpers/data.js';

const { layers } = tf;
const SAMPLES = 2;
const STEPS = 3;

interface Inside {
  /** Of one step of one sample. */
  readonly shape: readonly number[];
  readonly make: () => tf.layers.Layer;
  /** What goes in is whole numbers. */
  readonly integersBelow?: number;
}

const nested = (...parts: tf.layers.Layer[]): tf.layers.Layer =>
  tf.sequential({ layers: parts }) as unknown as tf.layers.Layer;

const distributed = ({ make }: Inside): tf.layers.Layer => layers.timeDistributed({ layer: make() });

function inputFor({ shape, integersBelow }: Inside, steps = STEPS): tf.Tensor {
  const whole = [SAMPLES, steps, ...shape];
  return integersBelow === undefined ? uniform(whole, 1) : integers(whole, 1, 0, integersBelow);
}

/** How often a layer calls the one inside. */
function countCalls(layer: tf.layers.Layer, input: tf.Tensor, kwargs: object = {}): number {
  const inside = (layer as unknown as { layer: tf.layers.Layer }).layer;
  const call = vi.spyOn(inside, 'call');
  tf.tidy(() => void layer.call(input, kwargs));
  return call.mock.calls.length;
}

function foldedOver(inside: Inside, kwargs: object = {}): number {
  const layer = distributed(inside);
  const input = inputFor(inside);
  layer.apply(input);
  foldTime(layer);
  return countCalls(layer, input, kwargs);
}

const SAMPLE_BY_SAMPLE: Readonly<Record<string, Inside>> = {
  'a dense layer': { shape: [4], make: () => layers.dense({ units: 3, activation: 'softmax' }) },
  'an embedding': {
    shape: [2],
    make: () => layers.embedding({ inputDim: 5, outputDim: 3 }),
    integersBelow: 5,
  },
  'a convolution': {
    shape: [5, 4, 2],
    make: () => layers.conv2d({ filters: 3, kernelSize: 2, activation: 'relu' }),
  },
  'one that only moves numbers': { shape: [2, 3], make: () => layers.flatten() },
  'layer normalization': { shape: [4], make: () => layers.layerNormalization() },
  'an LSTM': { shape: [3, 2], make: () => layers.lstm({ units: 2 }) },
  'a model': {
    shape: [4, 4, 2],
    make: () =>
      nested(
        layers.conv2d({ filters: 2, kernelSize: 3, inputShape: [4, 4, 2] }),
        layers.flatten(),
        layers.dense({ units: 3, activation: 'tanh' }),
      ),
  },
  'one over time in itself': {
    shape: [3, 2],
    make: () => layers.timeDistributed({ layer: layers.dense({ units: 2 }) }),
  },
};

/** A layer of a user's own. */
class Centred extends layers.Layer {
  static readonly className = 'Centred';

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const x = Array.isArray(inputs) ? inputs[0]! : inputs;
    return tf.tidy(() => tf.sub(x, tf.mean(x, 0, true)));
  }
}

const Dense = layers.dense({ units: 1 }).constructor as new (args: object) => tf.layers.Layer;

class OwnDense extends Dense {}

const LEFT_ALONE: Readonly<Record<string, Inside>> = {
  'batch norm': { shape: [4], make: () => layers.batchNormalization() },
  'a layer that draws random numbers': { shape: [4], make: () => layers.dropout({ rate: 0.5 }) },
  'a model with such a layer': {
    shape: [4],
    make: () => nested(layers.dense({ units: 2, inputShape: [4] }), layers.dropout({ rate: 0.5 })),
  },
  'a layer with a state': {
    shape: [3, 2],
    make: () => layers.lstm({ units: 2, stateful: true, batchInputShape: [SAMPLES, 3, 2] }),
  },
  'a layer of a user’s own in the name of tfjs’s': { shape: [4], make: () => new OwnDense({ units: 2 }) },
  'a layer that normalises over samples': {
    shape: [4],
    make: () => layers.layerNormalization({ axis: 0 }),
  },
  'a model for so many samples and no others': {
    shape: [4],
    make: () => nested(layers.dense({ units: 2, batchInputShape: [SAMPLES, 4] })),
  },
  'a layer of a user’s own': { shape: [4], make: () => new Centred({}) },
};

describeOnBackends('a layer over time', () => {
  it.each(Object.entries(SAMPLE_BY_SAMPLE))(
    'computes in one call what it does in many: %s',
    async (_, inside) => {
      await expectSameLayer({
        make: () => distributed(inside),
        shape: [SAMPLES, STEPS, ...inside.shape],
        input: inputFor(inside),
        isInteger: inside.integersBelow !== undefined,
        adapt: foldTime,
      });
      expect(foldedOver(inside)).toBe(1);
    },
  );

  it.each(Object.entries(LEFT_ALONE))('goes step by step over %s', (_, inside) => {
    expect(foldedOver(inside)).toBe(STEPS);
  });

  it('goes step by step where it is told more than whether it trains', () => {
    const inside = SAMPLE_BY_SAMPLE['a dense layer']!;
    expect(foldedOver(inside, { mask: tf.ones([SAMPLES, STEPS], 'bool') })).toBe(STEPS);
    expect(foldedOver(inside, { initialState: [] })).toBe(STEPS);
    expect(foldedOver(inside, { training: true, mask: null })).toBe(1);
  });

  it('is refused over a layer with several outputs, as by tfjs', () => {
    const layer = layers.timeDistributed({ layer: layers.lstm({ units: 2, returnState: true }) });
    layer.build([SAMPLES, STEPS, 3, 2]);
    const input = uniform([SAMPLES, STEPS, 3, 2], 1);
    const call = (): unknown => tf.tidy(() => void layer.call(input, {}));
    expect(call).toThrow(/Expected Tensor length to be 1/);
    foldTime(layer);
    expect(call).toThrow(/Expected Tensor length to be 1/);
  });

  it('has gradients over one step, which tfjs has not', () => {
    const inside = SAMPLE_BY_SAMPLE['a dense layer']!;
    const layer = distributed(inside);
    const input = inputFor(inside, 1);
    layer.apply(input);
    foldTime(layer);
    const sum = (x: tf.Tensor): tf.Tensor => tf.sum(tf.square(layer.call(x, {}) as tf.Tensor));
    const dense = (layer as unknown as { layer: tf.layers.Layer }).layer;
    const alone = (x: tf.Tensor): tf.Tensor =>
      tf.sum(tf.square(dense.call(tf.squeeze(x, [1]), {}) as tf.Tensor));
    expectTensorsClose([tf.grad(sum)(input)], [tf.grad(alone)(input)], 'gradient');
  });

  it('is found inside other layers', () => {
    const inside = SAMPLE_BY_SAMPLE['a dense layer']!;
    const layer = distributed(inside);
    const input = inputFor(inside);
    layer.apply(input);
    const expected = layer.call(input, {}) as tf.Tensor;
    const model = tf.sequential({
      layers: [layers.inputLayer({ inputShape: [STEPS, ...inside.shape] }), layer],
    });
    foldTime(model);
    expect(countCalls(layer, input)).toBe(1);
    expectTensorsClose([layer.call(input, {}) as tf.Tensor], [expected], 'output');
  });

  it('is left alone when it is a user’s class of that name', () => {
    const layer = distributed(SAMPLE_BY_SAMPLE['a dense layer']!);
    const input = inputFor(SAMPLE_BY_SAMPLE['a dense layer']!);
    const TimeDistributed = layer.constructor as new (args: object) => tf.layers.Layer;
    class Own extends TimeDistributed {}
    const own = new Own({ layer: layers.dense({ units: 3 }) });
    own.apply(input);
    foldTime(own);
    expect(own.getClassName()).toBe('TimeDistributed');
    expect(countCalls(own, input)).toBe(STEPS);
  });
});
