/**
 * Random layers draw numbers that depend on seed, step, layer, call and sample alone. The checks of randomness have fixed
 * keys, so they give the same answer every time; their bounds are 5 standard deviations of what true randomness would give.
 */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { hashPath, normal, type RandomKey, uniform } from '#internal/stages/random/counter.js';
import { RandomContext, useCounterRandom } from '#internal/stages/random/index.js';

const SIGMAS = 5;
const KEY: RandomKey = { seed: 1, step: 2, layer: 3, call: 0 };

const mean = (numbers: ArrayLike<number>): number =>
  Array.from(numbers).reduce((sum, number) => sum + number, 0) / numbers.length;

const moment = (numbers: ArrayLike<number>, power: number, around = 0): number =>
  mean(Array.from(numbers, number => (number - around) ** power));

/** χ² of counts that should all be equal. */
function chiSquare(counts: ArrayLike<number>): number {
  const expected = mean(counts);
  return Array.from(counts).reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

function expectEqualCounts(counts: ArrayLike<number>, what: string): void {
  const freedom = counts.length - 1;
  expect(Math.abs(chiSquare(counts) - freedom), what).toBeLessThan(SIGMAS * Math.sqrt(2 * freedom));
}

// ---- the generator

type Distribution = typeof uniform;
const DISTRIBUTIONS: [string, Distribution][] = [
  ['uniform', uniform],
  ['normal', normal],
];

const keys: fc.Arbitrary<RandomKey> = fc.record({
  seed: fc.maxSafeNat(),
  step: fc.nat(),
  layer: fc.integer(),
  call: fc.nat(50),
});

/** One number from each of many keys or samples: how neighbours along one axis are distributed. */
const AXES: [string, (index: number) => number][] = [
  ['elements', index => ELEMENTS[index]!],
  ['samples', index => uniform(KEY, index, 1, 1)[0]!],
  ['steps', index => uniform({ ...KEY, step: index }, 0, 1, 1)[0]!],
  ['calls', index => uniform({ ...KEY, call: index }, 0, 1, 1)[0]!],
  ['seeds', index => uniform({ ...KEY, seed: index }, 0, 1, 1)[0]!],
  ['layers', index => uniform({ ...KEY, layer: hashPath(String(index)) }, 0, 1, 1)[0]!],
  ['batches of 32', index => uniform({ ...KEY, step: index >> 5 }, index & 31, 1, 1)[0]!],
];
const COUNT = 40_000;
const ELEMENTS = uniform(KEY, 0, 1, COUNT);

describe.each(AXES)('uniform numbers of neighbouring %s', (_, numberAt) => {
  const numbers = Float64Array.from({ length: COUNT }, (_, index) => numberAt(index));

  it('lie in [0, 1) with mean 1/2 and variance 1/12', () => {
    expect(numbers.every(number => number >= 0 && number < 1)).toBe(true);
    expect(Math.abs(mean(numbers) - 1 / 2)).toBeLessThan(SIGMAS * Math.sqrt(1 / 12 / COUNT));
    // The fourth central moment is 1/80, so the variance of (u − 1/2)² is 1/180.
    expect(Math.abs(moment(numbers, 2, 1 / 2) - 1 / 12)).toBeLessThan(SIGMAS * Math.sqrt(1 / 180 / COUNT));
  });

  it('fall into each of 256 parts equally often', () => {
    const counts = new Float64Array(256);
    for (const number of numbers) counts[Math.floor(number * 256)]! += 1;
    expectEqualCounts(counts, 'parts of [0, 1)');
  });

  it('say nothing about the number 1, 2 or 8 places on', () => {
    for (const lag of [1, 2, 8]) {
      const counts = new Float64Array(256);
      for (let index = 0; index + lag < COUNT; index++) {
        counts[Math.floor(numbers[index]! * 16) * 16 + Math.floor(numbers[index + lag]! * 16)]! += 1;
      }
      expectEqualCounts(counts, `pairs ${lag} apart`);
    }
  });
});

describe('masks of half of the elements', () => {
  const size = 1024;
  const halves = (key: RandomKey, sample: number): boolean[] =>
    Array.from(uniform(key, sample, 1, size), number => number < 0.5);

  it.each([
    { of: 'samples', maskAt: (index: number) => halves(KEY, index) },
    { of: 'steps', maskAt: (index: number) => halves({ ...KEY, step: index }, 0) },
    { of: 'calls', maskAt: (index: number) => halves({ ...KEY, call: index }, 0) },
    { of: 'seeds', maskAt: (index: number) => halves({ ...KEY, seed: index }, 0) },
    { of: 'layers', maskAt: (index: number) => halves({ ...KEY, layer: hashPath(String(index)) }, 0) },
  ])('for different $of agree at half of the places', ({ maskAt }) => {
    const masks = Array.from({ length: 40 }, (_, index) => maskAt(index));
    for (const [index, mask] of masks.entries()) {
      for (let other = 0; other < index; other++) {
        const agreeing = mask.filter((isLow, place) => isLow === masks[other]![place]).length / size;
        expect(Math.abs(agreeing - 0.5), `masks ${other} and ${index}`).toBeLessThan(
          (SIGMAS * 0.5) / Math.sqrt(size),
        );
      }
    }
  });
});

describe('normal numbers', () => {
  // An odd number per sample, so that the last one of each has no partner.
  const perSample = 7;
  const numbers = normal(KEY, 0, COUNT, perSample);
  const count = numbers.length;

  it('have the moments 0, 1, 0 and 3', () => {
    // Variances of single powers: 1, 2, 15 and 96.
    expect(Math.abs(mean(numbers))).toBeLessThan(SIGMAS * Math.sqrt(1 / count));
    expect(Math.abs(moment(numbers, 2) - 1)).toBeLessThan(SIGMAS * Math.sqrt(2 / count));
    expect(Math.abs(moment(numbers, 3))).toBeLessThan(SIGMAS * Math.sqrt(15 / count));
    expect(Math.abs(moment(numbers, 4) - 3)).toBeLessThan(SIGMAS * Math.sqrt(96 / count));
  });

  it.each([
    { limit: 1, share: 0.682689 },
    { limit: 2, share: 0.9545 },
    { limit: 3, share: 0.9973 },
    { limit: 4, share: 0.999937 },
  ])('lie within $limit standard deviations with probability $share', ({ limit, share }) => {
    const within = numbers.filter(number => Math.abs(number) < limit).length / count;
    expect(Math.abs(within - share)).toBeLessThan(SIGMAS * Math.sqrt((share * (1 - share)) / count));
  });

  it('of one sample do not depend on each other, partners included', () => {
    for (let first = 0; first < perSample - 1; first++) {
      const products = Array.from({ length: COUNT }, (_, sample) => {
        const place = sample * perSample + first;
        return numbers[place]! * numbers[place + 1]!;
      });
      expect(Math.abs(mean(products)), `elements ${first} and ${first + 1}`).toBeLessThan(
        SIGMAS / Math.sqrt(COUNT),
      );
    }
  });

  it('are finite, whatever the key', () => {
    fc.assert(
      fc.property(keys, fc.nat(), (key, sample) => normal(key, sample, 1, perSample).every(Number.isFinite)),
    );
  });
});

describe.each(DISTRIBUTIONS)('%s numbers of a sample', (_, distribution) => {
  it('are the same wherever the samples are split', () => {
    fc.assert(
      fc.property(
        keys,
        fc.nat(1_000),
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 9 }),
        (key, first, parts, size) => {
          const total = parts.reduce((sum, count) => sum + count, 0);
          const whole = distribution(key, first, total, size);
          let sample = first;
          const pieces = parts.flatMap(count => {
            const piece = distribution(key, sample, count, size);
            sample += count;
            return [...piece];
          });
          expect(pieces).toEqual([...whole]);
        },
      ),
    );
  });

  it('are others when seed, step, layer, call or sample is another', () => {
    const field = fc.constantFrom<keyof RandomKey | 'sample'>('seed', 'step', 'layer', 'call', 'sample');
    fc.assert(
      fc.property(
        keys,
        fc.nat(1_000),
        field,
        fc.integer({ min: 1, max: 2 ** 20 }),
        (key, sample, name, by) => {
          const other = name === 'sample' ? key : { ...key, [name]: (key[name] + by) % 2 ** 31 };
          fc.pre(name === 'sample' || other[name] !== key[name]);
          const otherSample = name === 'sample' ? sample + by : sample;
          expect([...distribution(other, otherSample, 1, 8)]).not.toEqual([
            ...distribution(key, sample, 1, 8),
          ]);
        },
      ),
    );
  });

  it('of seeds that agree in their lower 32 bits are others', () => {
    const far = { ...KEY, seed: KEY.seed + 2 ** 32 };
    expect([...distribution(far, 0, 1, 8)]).not.toEqual([...distribution(KEY, 0, 1, 8)]);
  });
});

describe('hashes of paths', () => {
  it('are different for every layer of a large model with layers inside layers', () => {
    const paths = Array.from({ length: 500 }, (_, outer) => [
      `${outer}`,
      ...Array.from({ length: 20 }, (_, inner) => `${outer}/${inner}`),
    ]).flat();
    expect(new Set(paths.map(hashPath)).size).toBe(paths.length);
  });
});

// ---- the layers

const { layers } = tf;
const ROWS = 8;
const SEED = 11;
const STEP = 5;
const RATE = 0.4;

interface RandomCase {
  readonly name: string;
  readonly build: () => tf.layers.Layer;
  readonly sampleShape: number[];
}

const recurrent = { units: 3, dropout: RATE, recurrentDropout: RATE, returnSequences: true };

const ELEMENTWISE: readonly RandomCase[] = [
  { name: 'Dropout', build: () => layers.dropout({ rate: RATE }), sampleShape: [12] },
  {
    name: 'Dropout with a noise shape',
    build: () => layers.dropout({ rate: RATE, noiseShape: [null, 1, 4] as number[] }),
    sampleShape: [3, 4],
  },
  { name: 'SpatialDropout1D', build: () => layers.spatialDropout1d({ rate: RATE }), sampleShape: [3, 4] },
  { name: 'AlphaDropout', build: () => layers.alphaDropout({ rate: RATE }), sampleShape: [12] },
  { name: 'GaussianDropout', build: () => layers.gaussianDropout({ rate: RATE }), sampleShape: [12] },
  { name: 'GaussianNoise', build: () => layers.gaussianNoise({ stddev: 0.5 }), sampleShape: [12] },
];

const CASES: readonly RandomCase[] = [
  ...ELEMENTWISE,
  { name: 'SimpleRNN', build: () => layers.simpleRNN(recurrent), sampleShape: [4, 5] },
  { name: 'LSTM', build: () => layers.lstm(recurrent), sampleShape: [4, 5] },
  { name: 'GRU', build: () => layers.gru(recurrent), sampleShape: [4, 5] },
  {
    name: 'ConvLstm2D',
    build: () =>
      layers.convLstm2d({
        filters: 2,
        kernelSize: 2,
        dropout: RATE,
        recurrentDropout: RATE,
      } as unknown as Parameters<typeof layers.convLstm2d>[0]),
    sampleShape: [2, 4, 4, 2],
  },
  {
    name: 'Bidirectional',
    build: () => layers.bidirectional({ layer: layers.lstm(recurrent) as tf.RNN, mergeMode: 'concat' }),
    sampleShape: [4, 5],
  },
  {
    name: 'TimeDistributed',
    build: () => {
      const layer = layers.timeDistributed({ layer: layers.dropout({ rate: RATE }) });
      // Else it would take the batch size of its first input for the only one.
      layer.build([null, 3, 4]);
      return layer;
    },
    sampleShape: [3, 4],
  },
  {
    name: 'a model inside the model',
    build: () =>
      tf.sequential({
        layers: [layers.dropout({ rate: RATE, inputShape: [12] }), layers.gaussianNoise({ stddev: 1 })],
      }),
    sampleShape: [12],
  },
];

function makeInput({ sampleShape }: Pick<RandomCase, 'sampleShape'>, rows = ROWS): tf.Tensor {
  return tf.randomUniform([rows, ...sampleShape], 0.5, 1.5, 'float32', 3);
}

interface Prepared {
  readonly layer: tf.layers.Layer;
  readonly context: RandomContext;
}

function prepare(build: () => tf.layers.Layer, { seed = SEED, path = '2' } = {}): Prepared {
  const context = new RandomContext(seed);
  const layer = build();
  useCounterRandom(layer, path, context);
  return { layer, context };
}

function outputOf(layer: tf.layers.Layer, input: tf.Tensor, training: boolean): number[] {
  return tf.tidy(() => Array.from((layer.apply(input, { training }) as tf.Tensor).dataSync()));
}

/** What the layer makes of the whole input in training, in micro-batches of these sizes. */
function train({ layer, context }: Prepared, input: tf.Tensor, sizes = [ROWS], step = STEP): number[] {
  let first = 0;
  return sizes.flatMap(size => {
    context.begin(step, first);
    const [, ...rest] = input.shape;
    const part = tf.slice(input, [first, ...rest.map(() => 0)], [size, ...rest]);
    first += size;
    const output = outputOf(layer, part, true);
    part.dispose();
    return output;
  });
}

/** Sums inside recurrent layers may be taken in another order for other numbers of rows. */
function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) expect(actual[index]).toBeCloseTo(value, 5);
}

const SPLITS = [[4, 4], [5, 3], [7, 1], [3, 3, 2], Array.from({ length: ROWS }, () => 1)];

beforeAll(async () => {
  tf.enableProdMode();
  await tf.setBackend('cpu');
});

describe.each(CASES)('the noise of $name', ({ build, sampleShape }) => {
  it('is there in training', () => {
    const prepared = prepare(build);
    const input = makeInput({ sampleShape });
    expect(train(prepared, input)).not.toEqual(outputOf(prepared.layer, input, false));
  });

  it('is not there without training, neither before a training step nor after', () => {
    const layer = build();
    const input = makeInput({ sampleShape });
    const plain = outputOf(layer, input, false);
    const context = new RandomContext(SEED);
    useCounterRandom(layer, '2', context);
    context.begin(STEP, 0);
    expect(outputOf(layer, input, false)).toEqual(plain);
    outputOf(layer, input, true);
    expect(outputOf(layer, input, false)).toEqual(plain);
  });

  it('is the same for any micro-batches', () => {
    const prepared = prepare(build);
    const input = makeInput({ sampleShape });
    const whole = train(prepared, input);
    for (const sizes of SPLITS) expectClose(train(prepared, input, sizes), whole);
  });

  it('is the same when the forward pass of a micro-batch is run again later', () => {
    const prepared = prepare(build);
    const input = makeInput({ sampleShape });
    const { layer, context } = prepared;
    const pass = (step: number, first: number): number[] => {
      context.begin(step, first);
      return outputOf(layer, input, true);
    };
    const [first, second] = [pass(STEP, 0), pass(STEP, ROWS)];
    expect(second).not.toEqual(first);
    expect(pass(STEP, ROWS)).toEqual(second);
    expect(pass(STEP, 0)).toEqual(first);
  });

  it('is another one in another step, for another seed and at another place in the model', () => {
    const layer = build();
    const input = makeInput({ sampleShape });
    const plain = outputOf(layer, input, false);
    const weights = layer.getWeights();
    const outputs = [
      { seed: SEED, path: '2', step: STEP },
      { seed: SEED, path: '2', step: STEP + 1 },
      { seed: SEED + 1, path: '2', step: STEP },
      { seed: SEED, path: '3', step: STEP },
    ].map(({ seed, path, step }) => {
      const prepared = prepare(build, { seed, path });
      outputOf(prepared.layer, input, false);
      prepared.layer.setWeights(weights);
      return train(prepared, input, [ROWS], step).join();
    });
    expect(new Set([plain.join(), ...outputs]).size).toBe(outputs.length + 1);
  });

  it('is the same in another worker, which has built its own layer', () => {
    const input = makeInput({ sampleShape });
    const [here, there] = [prepare(build), prepare(build)];
    outputOf(here.layer, input, false);
    outputOf(there.layer, input, false);
    there.layer.setWeights(here.layer.getWeights());
    expect(train(there, input)).toEqual(train(here, input));
  });
});

describe('a layer that is called twice in a forward pass', () => {
  it('draws other numbers the second time, and the same two in the next run of the pass', () => {
    const { layer, context } = prepare(() => layers.dropout({ rate: RATE }));
    const input = makeInput({ sampleShape: [12] });
    const pass = (): number[][] => {
      context.begin(STEP, 0);
      return [outputOf(layer, input, true), outputOf(layer, input, true)];
    };
    const [first, second] = pass();
    expect(second).not.toEqual(first);
    expect(pass()).toEqual([first, second]);
  });

  it('draws the same whatever other layers draw in between', () => {
    const context = new RandomContext(SEED);
    const [one, other] = [layers.dropout({ rate: RATE }), layers.gaussianNoise({ stddev: 1 })];
    useCounterRandom(one, '1', context);
    useCounterRandom(other, '2', context);
    const input = makeInput({ sampleShape: [12] });
    context.begin(STEP, 0);
    const before = [one, other].map(layer => outputOf(layer, input, true));
    context.begin(STEP, 0);
    const after = [other, one].map(layer => outputOf(layer, input, true));
    expect(after.reverse()).toEqual(before);
  });
});

describe('a noise shape with a shared first axis', () => {
  const CASES: [string, () => tf.layers.Layer][] = [
    ['Dropout', () => layers.dropout({ rate: RATE, noiseShape: [1, 12] })],
    ['AlphaDropout', () => layers.alphaDropout({ rate: RATE, noiseShape: [1, 12] })],
  ];

  it.each(CASES)('gives all samples of %s the same mask, in any micro-batches', (_, build) => {
    const prepared = prepare(build);
    const input = tf.ones([ROWS, 12]);
    const whole = train(prepared, input);
    const mask = whole.slice(0, 12);
    expect(new Set(mask).size).toBe(2);
    expect(whole).toEqual(Array.from({ length: ROWS }, () => mask).flat());
    for (const sizes of [
      [4, 4],
      [5, 3],
      [2, 2, 2, 2],
    ])
      expect(train(prepared, input, sizes)).toEqual(whole);
  });

  it.each(CASES)('gives a micro-batch of one sample of %s the mask of all others', (_, build) => {
    const prepared = prepare(build);
    const input = tf.ones([ROWS, 12]);
    expect(train(prepared, input, [7, 1])).toEqual(train(prepared, input));
  });
});

// Enough elements for a bound of a few percent.
const MANY_ROWS = 64;
const MANY = 256;
const TOTAL = MANY_ROWS * MANY;

function trainOnes(build: () => tf.layers.Layer): number[] {
  const ones = tf.ones([MANY_ROWS, MANY]);
  const output = train(prepare(build), ones, [MANY_ROWS]);
  ones.dispose();
  return output;
}

describe.each([0.1, 0.25, 0.5, 0.9])('at a rate of %d', rate => {
  it('Dropout keeps that fewer elements and divides the others by the share kept', () => {
    const output = trainOnes(() => layers.dropout({ rate }));
    const kept = output.filter(value => value !== 0);
    expect(Math.abs(kept.length / TOTAL - (1 - rate))).toBeLessThan(
      SIGMAS * Math.sqrt((rate * (1 - rate)) / TOTAL),
    );
    for (const value of new Set(kept)) expect(value).toBeCloseTo(1 / (1 - rate), 5);
    // The expectation is that of the input: an element's variance is rate / (1 − rate).
    expect(Math.abs(mean(output) - 1)).toBeLessThan(SIGMAS * Math.sqrt(rate / (1 - rate) / TOTAL));
  });

  it('SpatialDropout1D keeps or drops whole channels of a sample', () => {
    const channels = 100;
    const [rows, steps] = [40, 3];
    const output = tf.tidy(() =>
      tf.tensor(
        train(
          prepare(() => layers.spatialDropout1d({ rate })),
          tf.ones([rows, steps, channels]),
          [rows],
        ),
        [rows, steps, channels],
      ),
    );
    const [low, high] = tf.tidy(() => [output.min(1).dataSync(), output.max(1).dataSync()]);
    expect(low).toEqual(high);
    const kept = low!.filter(value => value !== 0).length / (rows * channels);
    expect(Math.abs(kept - (1 - rate))).toBeLessThan(
      SIGMAS * Math.sqrt((rate * (1 - rate)) / (rows * channels)),
    );
    output.dispose();
  });

  it('AlphaDropout keeps that fewer elements and computes the same two values as tfjs', () => {
    const build = () => layers.alphaDropout({ rate });
    const output = trainOnes(build);
    const theirs = tf.tidy(() => outputOf(build(), tf.ones([MANY_ROWS, MANY]), true));
    const values = (numbers: number[]) => [...new Set(numbers)].sort((a, b) => a - b);
    expect(values(output)).toEqual(values(theirs));
    expect(values(output)).toHaveLength(2);
    // What a kept 1 becomes.
    const dropped = -1.6732632423543772 * 1.0507009873554805;
    const scale = ((1 - rate) * (1 + rate * dropped ** 2)) ** -0.5;
    const keptValue = scale * (1 - dropped * rate);
    const kept = output.filter(value => Math.abs(value - keptValue) < 1e-5).length / TOTAL;
    expect(Math.abs(kept - (1 - rate))).toBeLessThan(SIGMAS * Math.sqrt((rate * (1 - rate)) / TOTAL));
  });

  it('GaussianDropout multiplies by noise of mean 1 and variance rate / (1 − rate)', () => {
    const output = trainOnes(() => layers.gaussianDropout({ rate }));
    const variance = rate / (1 - rate);
    expect(Math.abs(mean(output) - 1)).toBeLessThan(SIGMAS * Math.sqrt(variance / TOTAL));
    expect(Math.abs(moment(output, 2, 1) / variance - 1)).toBeLessThan(SIGMAS * Math.sqrt(2 / TOTAL));
  });
});

describe('random layers', () => {
  it('add GaussianNoise of mean 0 and the wanted deviation, whatever the input', () => {
    const stddev = 0.3;
    const prepared = prepare(() => layers.gaussianNoise({ stddev }));
    const input = tf.fill([MANY_ROWS, MANY], 40);
    const noise = train(prepared, input, [MANY_ROWS]).map(value => value - 40);
    expect(Math.abs(mean(noise))).toBeLessThan((SIGMAS * stddev) / Math.sqrt(TOTAL));
    expect(Math.abs(moment(noise, 2) / stddev ** 2 - 1)).toBeLessThan(SIGMAS * Math.sqrt(2 / TOTAL));
    input.dispose();
  });

  it.each(
    [0, 1].flatMap(rate => [
      { name: 'Dropout', rate, build: () => layers.dropout({ rate }) },
      { name: 'SpatialDropout1D', rate, build: () => layers.spatialDropout1d({ rate }) },
      { name: 'AlphaDropout', rate, build: () => layers.alphaDropout({ rate }) },
      { name: 'GaussianDropout', rate, build: () => layers.gaussianDropout({ rate }) },
    ]),
  )('pass their input on as tfjs does at the rate $rate of $name', ({ build }) => {
    const input = makeInput({ sampleShape: [3, 4] });
    expect(train(prepare(build), input)).toEqual(outputOf(build(), input, true));
  });

  it.each(ELEMENTWISE)('leave no tensor behind but their output: $name', ({ build, sampleShape }) => {
    const { layer, context } = prepare(build);
    const input = makeInput({ sampleShape });
    context.begin(STEP, 0);
    const before = tf.memory().numTensors;
    const output = layer.apply(input, { training: true }) as tf.Tensor;
    expect(tf.memory().numTensors).toBe(before + 1);
    output.dispose();
  });

  it('pass gradients through the mask of the forward pass', () => {
    const { layer, context } = prepare(() => layers.dropout({ rate: RATE }));
    const input = tf.ones([ROWS, 12]);
    context.begin(STEP, 0);
    const output = outputOf(layer, input, true);
    context.begin(STEP, 0);
    const gradient = tf.grad(x => (layer.apply(x, { training: true }) as tf.Tensor).sum())(input);
    expect(Array.from(gradient.dataSync())).toEqual(output);
  });

  it('stay what they are when they have no randomness', () => {
    const layer = layers.dense({ units: 2 });
    const { call } = layer;
    useCounterRandom(layer, '0', new RandomContext(SEED));
    expect(layer.call).toBe(call);
  });
});

describe('recurrent dropout', () => {
  const UNITS = 128;
  /** A recurrent layer that adds its masked input to its masked state. */
  const adding = (dropout: object): tf.layers.Layer =>
    layers.simpleRNN({
      units: UNITS,
      activation: 'linear',
      useBias: false,
      kernelInitializer: 'identity',
      recurrentInitializer: 'identity',
      ...dropout,
    });
  /** One at the first of two time steps, nothing at the second. */
  const pulse = (): tf.Tensor => tf.stack([tf.ones([MANY_ROWS, UNITS]), tf.zeros([MANY_ROWS, UNITS])], 1);
  const total = MANY_ROWS * UNITS;

  it.each([
    { of: 'the input', dropout: { dropout: RATE } },
    { of: 'the state', dropout: { recurrentDropout: RATE } },
  ])('of $of keeps the share of elements it should, and the expectation', ({ dropout }) => {
    const output = train(
      prepare(() => adding(dropout)),
      pulse(),
      [MANY_ROWS],
    );
    const kept = output.filter(value => value !== 0);
    for (const value of new Set(kept)) expect(value).toBeCloseTo(1 / (1 - RATE), 5);
    expect(Math.abs(kept.length / total - (1 - RATE))).toBeLessThan(
      SIGMAS * Math.sqrt((RATE * (1 - RATE)) / total),
    );
    expect(Math.abs(mean(output) - 1)).toBeLessThan(SIGMAS * Math.sqrt(RATE / (1 - RATE) / total));
  });

  it('drops inputs and states independently', () => {
    const both = train(
      prepare(() => adding({ dropout: RATE, recurrentDropout: RATE })),
      pulse(),
      [MANY_ROWS],
    );
    const share = (1 - RATE) ** 2;
    const kept = both.filter(value => value !== 0).length / total;
    expect(Math.abs(kept - share)).toBeLessThan(SIGMAS * Math.sqrt((share * (1 - share)) / total));
  });

  it('draws anew in each step for cells under a general RNN layer too, and never without training', () => {
    const cell = layers.stackedRNNCells({ cells: [layers.lstmCell(recurrent)] });
    const prepared = prepare(() => layers.rnn({ cell } as unknown as Parameters<typeof layers.rnn>[0]));
    const input = makeInput({ sampleShape: [4, 5] });
    const plain = outputOf(prepared.layer, input, false);
    const first = train(prepared, input, [ROWS], 0);
    expect(first).not.toEqual(plain);
    expect(train(prepared, input, [ROWS], 1)).not.toEqual(first);
    expect(outputOf(prepared.layer, input, false)).toEqual(plain);
  });
});
