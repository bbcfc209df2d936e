/** The tape split against tfjs's own gradients: with one micro-batch they must be the same bits. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { joinProducts } from '#internal/backends/index.js';
import { fusedOperations } from '#internal/backends/tensorflow/fused/index.js';
import { backwardInput, DeferredWeightGradients } from '#internal/stages/backward.js';
import { disposeTape, recordTape } from '#internal/tfjs/internals.js';
import { backends, describeOnBackends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../helpers/compare.js';
import { seedWeights, uniform } from '../helpers/data.js';

const { layers } = tf;

/** Stacks whose input is a float32 activation, as in any stage but the first. */
const STACKS: readonly (readonly [string, number[], () => tf.layers.Layer[]])[] = [
  ['dense layers', [5], () => [layers.dense({ units: 6, activation: 'relu' }), layers.dense({ units: 4 })]],
  [
    'fused activations that compute all gradients at once',
    [5],
    () => [
      layers.dense({ units: 6, activation: 'sigmoid' }),
      layers.dense({ units: 4, activation: 'softmax' }),
    ],
  ],
  [
    'convolution, pooling and depthwise convolution',
    [6, 6, 2],
    () => [
      layers.conv2d({ filters: 3, kernelSize: 3, activation: 'relu' }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.depthwiseConv2d({ kernelSize: 2, padding: 'same' }),
      layers.flatten(),
    ],
  ],
  [
    'separable and transposed convolution',
    [5, 5, 2],
    () => [
      layers.separableConv2d({ filters: 3, kernelSize: 2 }),
      layers.conv2dTranspose({ filters: 2, kernelSize: 2 }),
      layers.flatten(),
    ],
  ],
  [
    'batch norm and layer norm',
    [5],
    () => [layers.dense({ units: 6 }), layers.batchNormalization(), layers.layerNormalization()],
  ],
  ['PReLU, whose weight is used by element', [5], () => [layers.dense({ units: 4 }), layers.prelu()]],
  [
    'LSTM and GRU',
    [4, 3],
    () => [
      layers.lstm({ units: 3, returnSequences: true }),
      layers.gru({ units: 4, recurrentActivation: 'sigmoid' }),
    ],
  ],
  [
    'a bidirectional layer',
    [4, 3],
    () => [layers.bidirectional({ layer: layers.simpleRNN({ units: 3 }) as tf.RNN, mergeMode: 'sum' })],
  ],
];

interface Stage {
  readonly model: tf.LayersModel;
  readonly variables: tf.Variable[];
}

function makeStage(shape: number[], makeLayers: () => tf.layers.Layer[]): Stage {
  const input = tf.input({ shape });
  const output = makeLayers().reduce((value, layer) => layer.apply(value) as tf.SymbolicTensor, input);
  const model = tf.model({ inputs: input, outputs: output });
  seedWeights(model, 4);
  return { model, variables: model.trainableWeights.map(weight => weight.read() as tf.Variable) };
}

const run = (model: tf.LayersModel, x: tf.Tensor): tf.Tensor =>
  // `training` without tfjs's own fit: batch norm then uses the statistics of the batch.
  model.call(x, { training: true }) as unknown as tf.Tensor;

const loss = (model: tf.LayersModel, x: tf.Tensor, target: tf.Tensor): tf.Scalar =>
  tf.mean(tf.square(tf.sub(asOne(run(model, x)), target)));

const asOne = (value: tf.Tensor | tf.Tensor[]): tf.Tensor => (Array.isArray(value) ? value[0]! : value);

interface TapedMicroBatch {
  readonly tape: ReturnType<typeof recordTape>['tape'];
  readonly lossId: number;
}

function record({ model }: Stage, x: tf.Tensor, target: tf.Tensor): TapedMicroBatch {
  const { result, tape } = recordTape(() => tf.keep(loss(model, x, target)));
  result.dispose();
  return { tape, lossId: result.id };
}

function split({ variables }: Stage, { tape, lossId }: TapedMicroBatch, x: tf.Tensor, share = 1) {
  return backwardInput({
    tape,
    samples: [x],
    inputs: [x],
    variables,
    seeds: new Map([[lossId, tf.scalar(share)]]),
  });
}

/** tfjs's gradients of the input and the variables, in that order. */
function reference({ model, variables }: Stage, x: tf.Tensor, target: tf.Tensor): tf.Tensor[] {
  return tf.tidy(() => {
    const { value, grads } = tf.variableGrads(() => loss(model, x, target), variables);
    value.dispose();
    const ofInput = tf.grad(input => loss(model, input, target))(x);
    return [ofInput, ...variables.map(({ name }) => grads[name]!)];
  });
}

function differences(actual: readonly (tf.Tensor | undefined)[], expected: readonly tf.Tensor[]): number[] {
  return expected.map((tensor, index) =>
    tf.tidy(() => tf.max(tf.abs(tf.sub(actual[index]!, tensor))).dataSync()[0]!),
  );
}

/** How many matrix products `work` runs. */
async function matrixProducts(work: () => void): Promise<number> {
  const { kernels } = await tf.profile(work);
  return kernels.filter(({ name }) => name === 'BatchMatMul' || name === '_FusedMatMul').length;
}

describeOnBackends('B and W apart', () => {
  describe.each(STACKS)('through %s', (_, shape, makeLayers) => {
    it('give the bits of tf.variableGrads and leave no tensor', () => {
      const stage = makeStage(shape, makeLayers);
      const x = uniform([3, ...shape], 1);
      const target = uniform([3, ...(stage.model.outputs[0]!.shape.slice(1) as number[])], 2);
      const before = tensorCount();
      const expected = reference(stage, x, target);
      const taped = record(stage, x, target);
      const { inputGradients, deferred } = split(stage, taped, x);
      const actual = [...inputGradients, ...deferred.compute()];
      expect(differences(actual, expected)).toEqual(expected.map(() => 0));
      tf.dispose([...(actual as tf.Tensor[]), ...expected]);
      disposeTape(taped.tape);
      expect(tensorCount()).toBe(before);
      tf.dispose([x, target]);
      stage.model.dispose();
    });

    it('may lie apart: W is right after the Bs of other micro-batches, in any order', () => {
      const stage = makeStage(shape, makeLayers);
      const outputShape = stage.model.outputs[0]!.shape.slice(1) as number[];
      const before = tensorCount();
      const microBatches = [1, 2, 3].map(seed => ({
        x: uniform([2, ...shape], seed),
        target: uniform([2, ...outputShape], seed + 10),
      }));
      const expected = microBatches.map(({ x, target }) => reference(stage, x, target));
      const taped = microBatches.map(({ x, target }) => record(stage, x, target));
      const results = microBatches.map(({ x }, index) => split(stage, taped[index]!, x));
      for (const index of [1, 0, 2]) {
        const actual = [...results[index]!.inputGradients, ...results[index]!.deferred.compute()];
        expect(differences(actual, expected[index]!)).toEqual(expected[index]!.map(() => 0));
        tf.dispose([...(actual as tf.Tensor[]), ...expected[index]!]);
        disposeTape(taped[index]!.tape);
      }
      tf.dispose(microBatches.flatMap(({ x, target }) => [x, target]));
      expect(tensorCount()).toBe(before);
      stage.model.dispose();
    });

    it('may be given up between B and W without a leak', () => {
      const stage = makeStage(shape, makeLayers);
      const x = uniform([2, ...shape], 1);
      const target = uniform([2, ...(stage.model.outputs[0]!.shape.slice(1) as number[])], 2);
      const before = tensorCount();
      const taped = record(stage, x, target);
      const { inputGradients, deferred } = split(stage, taped, x);
      deferred.dispose();
      tf.dispose(inputGradients as tf.Tensor[]);
      disposeTape(taped.tape);
      expect(tensorCount()).toBe(before);
      tf.dispose([x, target]);
      stage.model.dispose();
    });
  });

  it('sum over micro-batches of different sizes to the gradients of the whole batch', () => {
    const stage = makeStage([5], () => [
      layers.dense({ units: 6, activation: 'tanh' }),
      layers.dense({ units: 3 }),
    ]);
    const x = uniform([7, 5], 1);
    const target = uniform([7, 3], 2);
    const whole = tf.tidy(() => reference(stage, x, target).slice(1));
    const sums = tf.tidy(() => {
      const parts = [0, 3, 6].map((start, index) => {
        const rows = index === 2 ? 1 : 3;
        const [part, partTarget] = [
          tf.slice(x, [start, 0], [rows, 5]),
          tf.slice(target, [start, 0], [rows, 3]),
        ];
        const taped = record(stage, part, partTarget);
        const { deferred } = split(stage, taped, part, rows / 7);
        const gradients = deferred.compute() as tf.Tensor[];
        disposeTape(taped.tape);
        return gradients;
      });
      return stage.variables.map((_, index) => tf.addN(parts.map(part => part[index]!)));
    });
    expectTensorsClose(sums, whole, 'gradient');
    tf.dispose([x, target, ...sums, ...whole]);
    stage.model.dispose();
  });

  it('pass the gradients of later stages on, and give none where nothing depends on the output', () => {
    const before = tensorCount();
    const [used, unused] = tf.tidy(() => [tf.variable(uniform([3], 1)), tf.variable(uniform([3], 2))]);
    const x = uniform([2, 3], 3);
    const { result: outputs, tape } = recordTape(() => {
      const product = tf.mul(x, used);
      return [tf.keep(tf.tanh(product)), tf.keep(tf.square(product)), tf.keep(tf.mul(x, unused))];
    });
    const seeds = [uniform([2, 3], 4), uniform([2, 3], 5)];
    const expected = tf.grads((input: tf.Tensor, weight: tf.Tensor) => {
      const product = tf.mul(input, weight);
      return tf.add(
        tf.sum(tf.mul(tf.tanh(product), seeds[0]!)),
        tf.sum(tf.mul(tf.square(product), seeds[1]!)),
      );
    })([x, used as tf.Tensor]);
    const { inputGradients, deferred } = backwardInput({
      tape,
      samples: [x],
      inputs: [x],
      variables: [used, unused],
      seeds: new Map(seeds.map((seed, index) => [outputs[index]!.id, tf.clone(seed)])),
    });
    const [ofUsed, ofUnused] = deferred.compute();
    expect(ofUnused).toBeUndefined();
    expectTensorsClose([inputGradients[0]!, ofUsed!], expected, 'gradient');
    disposeTape(tape);
    tf.dispose([...outputs, ...seeds, ...expected, inputGradients[0]!, ofUsed!, x, used, unused]);
    expect(tensorCount()).toBe(before);
  });

  it('run the matrix product of the input gradient in B, and that of the kernel only in W', async () => {
    const stage = makeStage([5], () => [layers.dense({ units: 6, activation: 'relu' })]);
    const x = uniform([3, 5], 1);
    const target = uniform([3, 6], 2);
    const taped = record(stage, x, target);
    let halves: ReturnType<typeof split> | undefined;
    const ofB = await matrixProducts(() => {
      halves = split(stage, taped, x);
    });
    let gradients: (tf.Tensor | undefined)[] = [];
    const ofW = await matrixProducts(() => {
      gradients = halves!.deferred.compute();
    });
    expect([ofB, ofW]).toEqual([1, 1]);
    disposeTape(taped.tape);
    tf.dispose([x, target, ...(gradients as tf.Tensor[]), ...(halves!.inputGradients as tf.Tensor[])]);
    stage.model.dispose();
  });

  it("give a user's gradient any tensor of the forward pass, and let it go with the tape", () => {
    const gated = tf.customGrad(value => {
      const input = value as tf.Tensor;
      const result = tf.square(input);
      return { value: result, gradFunc: dy => tf.mul(dy, tf.add(tf.mul(input, 2), result)) };
    });
    const compute = (input: tf.Tensor): tf.Tensor => tf.logSigmoid(tf.neg(gated(tf.mul(input, 3))));
    const x = uniform([2, 3], 3);
    // By hand: with `tf.grad` such a gradient fails, since it disposes the forward pass; in `fit` it works.
    const expected = tf.tidy(() => {
      const v = tf.mul(x, 3);
      const slope = tf.add(tf.mul(v, 2), tf.square(v));
      return tf.mul(tf.mul(tf.sigmoid(tf.square(v)), slope), -3);
    });
    const before = tensorCount();
    const { result, tape } = recordTape(() => {
      const value = compute(x);
      return { id: value.id, shape: value.shape };
    });
    const seeds = new Map([[result.id, tf.ones(result.shape)]]);
    const { inputGradients, deferred } = backwardInput({
      tape,
      samples: [x],
      inputs: [x],
      variables: [],
      seeds,
    });
    expectTensorsClose([inputGradients[0]!], [expected], 'gradient');
    inputGradients[0]!.dispose();
    deferred.dispose();
    disposeTape(tape);
    expect(tensorCount()).toBe(before);
    tf.dispose([x, expected]);
  });

  it('refuse an operation that tfjs cannot differentiate, by name', () => {
    const x = uniform([2, 3], 3);
    const { result: sign, tape } = recordTape(() => tf.keep(tf.topk(x, 2).values));
    const seeds = new Map([[sign.id, tf.onesLike(sign)]]);
    expect(() => backwardInput({ tape, samples: [x], inputs: [x], variables: [], seeds })).toThrow(/'TopK'/);
    disposeTape(tape);
    tf.dispose([sign, x]);
  });
});

/** A fed input, a forward pass over it, and B with a gradient of ones times the micro-batch's number. */
function backwardOf(
  build: (x: tf.Tensor) => tf.Tensor,
  variables: tf.Variable[],
  rows: number,
  seed: number,
) {
  const x = uniform([rows, 5], seed);
  const { result: y, tape } = recordTape(() => tf.keep(build(x)));
  const seeds = new Map([[y.id, uniform(y.shape, seed + 50)]]);
  const { deferred } = backwardInput({ tape, samples: [x], inputs: [], variables, seeds });
  return { deferred, tape, end: () => tf.dispose([x, y]) };
}

describe.skipIf(!backends().includes('tensorflow'))('W of several micro-batches', () => {
  beforeAll(() => useBackend('tensorflow'));

  function sums(run: (all: DeferredWeightGradients[]) => (tf.Tensor | undefined)[][], units: number) {
    const kernel = tf.variable(uniform([5, units], 1));
    const bias = tf.variable(uniform([units], 2));
    const before = tensorCount();
    const passes = [4, 3, 1].map((rows, index) =>
      backwardOf(x => fusedOperations.dense(x, kernel, bias, 'tanh'), [kernel, bias], rows, index + 10),
    );
    const ops = countedProducts(() => run(passes.map(({ deferred }) => deferred)));
    const total = [0, 1].map(index => {
      const parts = ops.result.flatMap(gradients => gradients[index] ?? []);
      const sum = [...tf.addN(parts).dataSync()];
      return sum;
    });
    tf.dispose(ops.result.flat().filter(gradient => gradient !== undefined));
    for (const { tape, end } of passes) {
      disposeTape(tape);
      end();
    }
    // The two sums of `addN`.
    expect(tensorCount() - before).toBe(2);
    tf.dispose([kernel, bias]);
    return { total, products: ops.count };
  }

  const apart = (all: DeferredWeightGradients[]) => all.map(deferred => deferred.compute());
  const together = (all: DeferredWeightGradients[]) => [...DeferredWeightGradients.computeAll(all)];

  it.each([
    ['is one product where that is less work than summing', 40, 1],
    ['is one product each where the weights are small beside the samples', 2, 3],
  ])('%s', (_, units, products) => {
    const [expected, joined] = [sums(apart, units), sums(together, units)];
    expect(expected.products).toBe(3);
    expect(joined.products).toBe(products);
    for (const index of [0, 1]) {
      for (const [place, value] of joined.total[index]!.entries()) {
        expect(value).toBeCloseTo(expected.total[index]![place]!, 4);
      }
    }
  });
});

describe.skipIf(!backends().includes('tensorflow'))('W without its products', () => {
  beforeAll(() => useBackend('tensorflow'));

  function gradientsOf(wanted: boolean) {
    const variables = [tf.variable(uniform([5, 4], 1)), tf.variable(uniform([4], 2))];
    const [kernel, bias] = variables as [tf.Variable, tf.Variable];
    const before = tensorCount();
    const passes = [3, 2].map((rows, index) =>
      backwardOf(x => fusedOperations.dense(x, kernel, bias, 'tanh'), variables, rows, index + 10),
    );
    const all = passes.map(({ deferred }) => deferred);
    const asked: unknown[] = [];
    const taken = DeferredWeightGradients.takeProducts(all, (variable, products) => {
      asked.push([variable, products.map(({ factorSize }) => factorSize)]);
      return wanted;
    });
    const products = [...taken].map(([variable, parts]) => ({ variable, gradient: joinProducts(parts) }));
    const { result: rest, count } = countedProducts(() => [...DeferredWeightGradients.computeAll(all)]);
    const sumOf = (index: number): number[] => {
      const parts = [
        ...products.flatMap(({ variable, gradient }) => (variable === index ? [gradient] : [])),
        ...rest.flatMap(gradients => gradients[index] ?? []),
      ];
      return tf.tidy(() => [...tf.addN(parts).dataSync()]);
    };
    const found = { asked, count, sums: [sumOf(0), sumOf(1)], taken: [...taken.keys()] };
    tf.dispose([...products.map(({ gradient }) => gradient), ...rest.flat().filter(gradient => gradient)]);
    for (const { tape, end } of passes) {
      disposeTape(tape);
      end();
    }
    expect(tensorCount()).toBe(before);
    tf.dispose(variables);
    return found;
  }

  it('computes the rest, and all of it where nothing was wanted', () => {
    const [kept, taken] = [gradientsOf(false), gradientsOf(true)];
    // Of the kernel alone: samples and gradients of 3 and of 2 rows, 5 inputs and 4 units.
    expect(kept.asked).toEqual([[0, [27, 18]]]);
    expect(taken.asked).toEqual(kept.asked);
    expect([kept.taken, taken.taken]).toEqual([[], [0]]);
    expect([kept.count, taken.count]).toEqual([2, 0]);
    for (const index of [0, 1]) {
      for (const [place, value] of taken.sums[index]!.entries()) {
        expect(value).toBeCloseTo(kept.sums[index]![place]!, 4);
      }
    }
  });
});

/** Counts the matrix products that TensorFlow runs. */
function countedProducts<T>(run: () => T): { result: T; count: number } {
  const backend = tf.backend() as unknown as {
    executeSingleOutput: (op: string, ...rest: unknown[]) => unknown;
  };
  const original = backend.executeSingleOutput;
  let count = 0;
  backend.executeSingleOutput = (op, ...rest) => {
    if (op === 'MatMul') count += 1;
    return original.call(backend, op, ...rest);
  };
  try {
    return { result: run(), count };
  } finally {
    backend.executeSingleOutput = original;
  }
}
