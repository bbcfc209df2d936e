/**
 * Batch norm over a batch whose parts lie with several replicas: together they compute what it computes over the whole. And over all of
 * a batch that is large in channels that oneDNN's op is slow for, which goes another way where there are no ops of Millrace's own.
 */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Exchange } from '#internal/backends/fused-operations.js';
import { fusedOperations } from '#internal/backends/tensorflow/fused/index.js';
import { backends, HAS_KERNELS, useBackend } from '../../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';
import { HAS_ONEDNN, opsOf } from './ops-of.js';

const EPSILON = 1e-3;
const ACTIVATE = { linear: (z: tf.Tensor) => tf.clone(z), relu: tf.relu, tanh: tf.tanh } as const;
type Activation = keyof typeof ACTIVATE;

interface Whole {
  readonly parts: readonly tf.Tensor[];
  readonly gamma: tf.Tensor;
  readonly beta: tf.Tensor;
  readonly activation: Activation;
}

function standardized(x: tf.Tensor, { mean, variance }: { mean: tf.Tensor; variance: tf.Tensor }): tf.Tensor {
  return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, EPSILON)));
}

function axesOf({ rank }: tf.Tensor): number[] {
  return Array.from({ length: rank - 1 }, (_, axis) => axis);
}

/** Outputs of the parts one below the other, gradients of x, gamma and beta, mean and variance: by tfjs over the whole batch. */
function expected({ parts, gamma, beta, activation }: Whole, dy: tf.Tensor): tf.Tensor[] {
  const x = tf.concat([...parts]);
  const output = (input: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor): tf.Tensor => {
    const normalized = standardized(input, tf.moments(input, axesOf(input)));
    return ACTIVATE[activation](tf.add(tf.mul(normalized, scale), offset));
  };
  const { mean, variance } = tf.moments(x, axesOf(x));
  const gradients = tf.grads((input, scale, offset) => output(input!, scale!, offset!))([x, gamma, beta], dy);
  return [output(x, gamma, beta), ...gradients, mean, variance];
}

/** The same by one kernel a part, each told what the others would bring. */
function actual({ parts, gamma, beta, activation }: Whole, dy: tf.Tensor): tf.Tensor[] {
  const x = tf.concat([...parts]);
  const whole = tf.moments(x, axesOf(x));
  const counts = parts.map(({ size }) => size / gamma.size);
  const gradientsOut = tf.split(
    dy,
    parts.map(({ shape }) => shape[0]!),
  );
  const brought = (count: number, ...tensors: tf.Tensor[]): Float32Array =>
    Float32Array.from([count, ...tensors.flatMap(tensor => [...tensor.dataSync()])]);
  const forward = parts.map((part, index) => {
    const { mean, variance } = tf.moments(part, axesOf(part));
    return brought(counts[index]!, mean, variance);
  });
  const backward = parts.map((part, index) => {
    const constant = standardized(part, whole);
    const [gammaGradient, betaGradient] = tf.grads((scale, offset) =>
      ACTIVATE[activation](tf.add(tf.mul(constant, scale!), offset!)),
    )([gamma, beta], gradientsOut[index]!);
    return brought(counts[index]!, betaGradient!, gammaGradient!);
  });
  // Out of the scopes of tfjs's gradients.
  const kept: tf.Tensor[] = [];
  const keep = (tensor: tf.Tensor): tf.Tensor => {
    kept.push(tf.keep(tf.clone(tensor)));
    return kept.at(-1)!;
  };
  const seen: tf.Tensor[] = [];
  const computed = parts.map((part, index) => {
    const answers = [forward, backward].map(all =>
      all.map((one, other) => (other === index ? undefined : one)),
    );
    const exchange: Exchange = own => answers.shift()!.map(one => one ?? own);
    let output: tf.Tensor | undefined;
    const gradients = tf.grads((input, scale, offset) => {
      const settings = { epsilon: EPSILON, activation, exchange };
      const y = fusedOperations.batchNorm(input!, scale!, offset!, settings, (mean, variance) => {
        if (index === 0) seen.push(keep(mean), keep(variance));
      });
      output = keep(y);
      return y;
    })([part, gamma, beta], gradientsOut[index]!);
    expect(answers, 'one exchange forward and one back').toEqual([]);
    return [output!, ...gradients];
  });
  const of = (place: number): tf.Tensor[] => computed.map(tensors => tensors[place]!);
  const joined = [tf.concat(of(0)), tf.concat(of(1)), tf.addN(of(2)), tf.addN(of(3))];
  const statistics = seen.map(tensor => tf.clone(tensor));
  tf.dispose(kept);
  return [...joined, ...statistics];
}

/** Two to four parts, together large enough to be computed by sums where channels are no multiple of eight. */
const LARGE = fc.record({
  sizes: fc.array(fc.integer({ min: 40, max: 60 }), { minLength: 1, maxLength: 3 }),
  image: fc.constantFrom([9, 9], [5, 21], [90], [1, 90]),
  channels: fc.oneof(fc.integer({ min: 5, max: 20 }), fc.constantFrom(33, 50)),
  activation: fc.constantFrom<Activation>('linear', 'relu', 'tanh'),
  mean: fc.constantFrom(0, 1, 60),
  shift: fc.constantFrom(0, 1),
  seed: fc.integer({ min: 1, max: 1_000 }),
});

type LargeCase = typeof LARGE extends fc.Arbitrary<infer Case> ? Case : never;

/** Of both signs, and zero: what a rectifier lets pass depends on it. */
function gammaOf(channels: number, seed: number): tf.Tensor {
  const signs = Array.from({ length: channels }, (_, channel) => [1, -1, 0][channel % 3]!);
  return tf.mul(uniform([channels], seed, 0.5, 1.5), signs);
}

function wholeOf({ sizes, image, channels, activation, mean, shift, seed }: LargeCase): Whole {
  return {
    parts: [...sizes, 43].map((size, index) =>
      tf.add(uniform([size, ...image, channels], seed + index), mean + shift * index),
    ),
    gamma: gammaOf(channels, seed + 20),
    beta: uniform([channels], seed + 21),
    activation,
  };
}

/** Zero for elements that lie at 0 but for rounding: they are clipped by one and not by the other. */
function gradientAwayFromZero(whole: Whole, mean: number, seed: number): tf.Tensor {
  const x = tf.concat([...whole.parts]);
  const [z] = expected({ ...whole, activation: 'linear' }, tf.zerosLike(x));
  return tf.where(tf.less(tf.abs(z!), 1e-3 + 1e-4 * mean), 0, uniform(x.shape, seed));
}

/** Output, gradients, mean and variance as `expected` gives them, by one kernel over all parts. */
function undivided({ parts, gamma, beta, activation }: Whole, dy: tf.Tensor): tf.Tensor[] {
  const kept: tf.Tensor[] = [];
  const keep = (tensor: tf.Tensor): number => kept.push(tf.keep(tf.clone(tensor)));
  const gradients = tf.grads((x, scale, offset) => {
    const settings = { epsilon: EPSILON, activation };
    const y = fusedOperations.batchNorm(x!, scale!, offset!, settings, (mean, variance) => {
      keep(mean);
      keep(variance);
    });
    keep(y);
    return y;
  })([tf.concat([...parts]), gamma, beta], dy);
  const [mean, variance, y] = kept.map(tensor => tf.clone(tensor)) as [tf.Tensor, tf.Tensor, tf.Tensor];
  tf.dispose(kept);
  return [y, ...gradients, mean, variance];
}

/** Values of MILLRACE_KERNELS. */
const WAYS = HAS_KERNELS
  ? ([
      ["Millrace's ops", ''],
      ["TensorFlow's ops", '0'],
    ] as const)
  : ([["TensorFlow's ops", '0']] as const);

describe.skipIf(!backends().includes('tensorflow')).each(WAYS)(
  'batch norm of large images by %s',
  (_, kernels) => {
    beforeAll(() => useBackend('tensorflow'));
    beforeEach(() => void vi.stubEnv('MILLRACE_KERNELS', kernels));
    afterEach(() => void vi.unstubAllEnvs());

    it.each([
      ['whole', undivided],
      ['in parts', actual],
    ] as const)('%s, in any number of channels, however far their means are from zero', (_, compute) => {
      fc.assert(
        fc.property(LARGE, sample => {
          const before = tensorCount();
          tf.tidy(() => {
            const whole = wholeOf(sample);
            const dy = gradientAwayFromZero(whole, sample.mean, sample.seed + 22);
            // What deviates from a mean far from zero has fewer digits, by whatever way; sums of squares would leave none.
            const tolerance = 2e-4 + 3e-5 * sample.mean;
            expectTensorsClose(compute(whole, dy), expected(whole, dy), 'result', tolerance);
          });
          expect(tensorCount()).toBe(before);
        }),
        { numRuns: 40 },
      );
    });

    it('takes matrices too, of whose channels only some fill the lanes', () => {
      for (const [shape, op] of [
        [[600, 50], 'DepthwiseConv2dNativeBackpropFilter'],
        [[600, 48], 'FusedBatchNormV3'],
      ] as const) {
        const whole: Whole = {
          parts: [uniform(shape, 1)],
          gamma: uniform([shape[1]], 2, 0.5, 1.5),
          beta: uniform([shape[1]], 3),
          activation: 'tanh',
        };
        const dy = uniform(shape, 4);
        const [actualOps, result] = opsOf(() => undivided(whole, dy));
        expectTensorsClose(result, expected(whole, dy), String(shape), 2e-4);
        if (kernels === '') expect(actualOps).toContain('MillraceBatchNorm');
        else if (HAS_ONEDNN) expect(actualOps).toContain(op);
      }
    });

    it('leaves nothing behind but its output, whichever way it goes', () => {
      const settings = { epsilon: EPSILON, activation: 'relu' } as const;
      tf.tidy(() => {
        for (const channels of [8, 10, 40, 50]) {
          for (const mean of [0, 60]) {
            const inputs = [
              tf.add(uniform([40, 9, 9, channels], 1), mean),
              uniform([channels], 2),
              uniform([channels], 3),
            ] as const;
            for (const exchange of [undefined, (own: Float32Array) => [own]]) {
              const before = tensorCount();
              fusedOperations.batchNorm(...inputs, { ...settings, exchange }, () => {});
              expect(tensorCount() - before, `${channels} channels about ${mean}`).toBe(1);
            }
          }
        }
      });
    });

    it('sees a variance whose squares overflow', () => {
      tf.tidy(() => {
        const x = tf.mul(tf.add(uniform([40, 9, 9, 10], 1), 10), 1e17);
        const settings = { epsilon: EPSILON, activation: 'linear' } as const;
        const y = fusedOperations.batchNorm(x, tf.ones([10]), tf.zeros([10]), settings, () => {});
        const { variance } = tf.moments(y, [0, 1, 2]);
        expectTensorsClose([variance], [tf.ones([10])], 'variance', 1e-3);
      });
    });

    it.each([7, 8, 12])('passes NaN on, of samples and of weights, in %i channels', channels => {
      const settings = { epsilon: EPSILON, activation: 'relu' } as const;
      for (const spoilt of ['nothing', 'x', 'gamma', 'beta']) {
        const nanChannels = tf.tidy(() => {
          const of = (name: string, shape: number[]): tf.Tensor => {
            const values = Float32Array.from(uniform(shape, 1).dataSync());
            if (name === spoilt) values[1] = Number.NaN;
            return tf.tensor(values, shape);
          };
          const inputs = [
            of('x', [64, 8, 8, channels]),
            of('gamma', [channels]),
            of('beta', [channels]),
          ] as const;
          const y = fusedOperations.batchNorm(...inputs, settings, () => {});
          return tf.any(tf.isNaN(y), [0, 1, 2]).dataSync();
        });
        const channelsSeen = [...nanChannels].flatMap((is, channel) => (is === 1 ? [channel] : []));
        expect(channelsSeen, spoilt).toEqual(spoilt === 'nothing' ? [] : [1]);
      }
    });

    it.runIf(kernels === '')(
      'makes no gradient of an input that nobody wants, and exchanges nothing for it',
      () => {
        const pixels = 24;
        for (const activation of ['relu', 'tanh'] as const) {
          let exchanges = 0;
          const exchange: Exchange = own => {
            exchanges += 1;
            return [own];
          };
          tf.tidy(() => {
            const x = uniform([pixels, 3], 1);
            const settings = { epsilon: EPSILON, activation, exchange };
            const output = (...weights: tf.Tensor[]): tf.Tensor =>
              fusedOperations.batchNorm(x, weights[0]!, weights[1]!, settings, () => {});
            const [ops] = opsOf(() => tf.grads(output)([tf.ones([3]), tf.zeros([3])], tf.ones([pixels, 3])));
            expect(ops).toContain('MillraceBatchNormWeightGradients');
            expect(ops).not.toContain('MillraceBatchNormInputGradient');
          });
          expect(exchanges, 'the one forward').toBe(1);
        }
      },
    );

    it('passes NaN on of gradients that a rectifier stops, as tfjs does', () => {
      const settings = { epsilon: EPSILON, activation: 'relu' } as const;
      tf.tidy(() => {
        const dy = tf.tensor2d([Number.NaN, 1, 1, 1, 1, 1], [3, 2]);
        const [dx] = tf.grads((x, gamma, beta) =>
          fusedOperations.batchNorm(x!, gamma!, beta!, settings, () => {}),
        )([tf.tensor2d([-5, 1, 2, 3, 3, 5], [3, 2]), tf.ones([2]), tf.zeros([2])], dy);
        expect([...tf.isNaN(dx!).dataSync()]).toEqual([1, 0, 1, 0, 1, 0]);
      });
    });

    it.runIf(kernels === '')('passes NaN of what a rectifier gets on to the gradients, as tfjs does', () => {
      const settings = { epsilon: EPSILON, activation: 'relu' } as const;
      tf.tidy(() => {
        const gradients = tf.grads((x, gamma, beta) =>
          fusedOperations.batchNorm(x!, gamma!, beta!, settings, () => {}),
        )([uniform([3, 2], 1), tf.ones([2]), tf.tensor1d([Number.NaN, 1])], tf.ones([3, 2]));
        for (const gradient of gradients) {
          const seen = tf.any(tf.isNaN(gradient.reshape([-1, 2])), 0);
          expect([...seen.dataSync()]).toEqual([1, 0]);
        }
      });
    });

    it.each([
      [0, 3],
      [4, 0],
    ])('takes %i samples of %i channels', (samples, channels) => {
      const settings = { epsilon: EPSILON, activation: 'relu' } as const;
      tf.tidy(() => {
        const shape = [samples, channels];
        const [dx] = tf.grads((x, gamma, beta) =>
          fusedOperations.batchNorm(x!, gamma!, beta!, settings, () => {}),
        )([tf.zeros(shape), tf.ones([channels]), tf.zeros([channels])], tf.zeros(shape));
        expect(dx!.shape).toEqual(shape);
      });
    });
  },
);

describe.skipIf(!backends().includes('tensorflow')).each(WAYS)(
  'batch norm over parts of a batch by %s',
  (_, kernels) => {
    beforeAll(() => useBackend('tensorflow'));
    beforeEach(() => void vi.stubEnv('MILLRACE_KERNELS', kernels));
    afterEach(() => void vi.unstubAllEnvs());

    it('computes what it computes over the whole batch', () => {
      const cases = fc.record({
        sizes: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
        image: fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 2 }),
        channels: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(128, 300, 700)),
        activation: fc.constantFrom<Activation>('linear', 'relu', 'tanh'),
        // Parts that differ much from one another, about a mean that is far from zero.
        shift: fc.constantFrom(0, 1, 10),
        seed: fc.integer({ min: 1, max: 1_000 }),
      });
      fc.assert(
        fc.property(cases, ({ sizes, image, channels, activation, shift, seed }) => {
          tf.tidy(() => {
            const parts = [...sizes, 3].map((size, index) =>
              tf.add(uniform([size, ...image, channels], seed + index), shift * index),
            );
            const whole: Whole = {
              parts,
              gamma: gammaOf(channels, seed + 20),
              beta: uniform([channels], seed + 21),
              activation,
            };
            const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
            const dy = uniform([rows, ...image, channels], seed + 22);
            expectTensorsClose(actual(whole, dy), expected(whole, dy), 'result', 2e-4);
          });
        }),
        // The same cases every time: an element that lies at 0 but for rounding is clipped by one and not by the other.
        { numRuns: 60, seed: 1 },
      );
    });
  },
);
