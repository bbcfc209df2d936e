/** Data and arguments that the methods of a trainer refuse. One trainer sees them all, and works after each. */
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, type FitArgs, type PipelinedModel, pipeline, type UserTensors } from 'millrace';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compiledClassifier, FEATURES, isTraining, refusal, samples, TWO_STAGES } from './helpers.js';

let trainer: PipelinedModel;
let x: tf.Tensor2D;
let y: tf.Tensor2D;
let expected: Float32Array;

beforeAll(async () => {
  await tf.setBackend('cpu');
  trainer = await pipeline(compiledClassifier(), TWO_STAGES);
  ({ x, y } = samples(8));
  expected = (trainer.model.predict(x) as tf.Tensor).dataSync<'float32'>();
});
afterAll(() => trainer.close());

/** After a refusal nothing was trained, nothing leaked, and the next call works. */
let tensorsBefore: number;
beforeEach(() => {
  tensorsBefore = tf.memory().numTensors;
});
let deliberate: tf.Tensor[] = [];
const made = <T extends tf.Tensor>(tensor: T): T => {
  deliberate.push(tensor);
  return tensor;
};
afterEach(async () => {
  tf.dispose(deliberate);
  deliberate = [];
  const output = (await trainer.predict(x)) as tf.Tensor;
  expect(
    Math.max(...output.dataSync().map((value, index) => Math.abs(value - expected[index]!))),
  ).toBeLessThan(1e-5);
  output.dispose();
  expect(isTraining(trainer.model)).toBe(false);
  expect(tf.memory().numTensors).toBe(tensorsBefore);
});

const refusedFit = async (xs: unknown, ys: unknown, args: unknown = {}) => {
  const error = await refusal(() => trainer.fit(xs as UserTensors, ys as UserTensors, args as FitArgs));
  expect(error).toBeInstanceOf(ConfigurationError);
  return error;
};

describe('fit refuses', () => {
  it('x and y of different lengths, with both', async () => {
    const error = await refusedFit(x, made(tf.zeros([7, 3])));
    expect(error['path']).toBe('x and y');
    expect(error.message).toMatch(/8.*7/s);
  });

  it('x of the wrong width, with the shape it takes and the one it got', async () => {
    const error = await refusedFit(made(tf.zeros([8, FEATURES + 1])), y);
    expect(error['path']).toBe('x');
    expect(error.message).toMatch(/'hidden0_input' takes shape \[null, 6\].*\[8, 7\]/s);
  });

  it('x of the wrong rank', async () => {
    const error = await refusedFit(made(tf.zeros([8, FEATURES, 1])), y);
    expect(error.message).toMatch(/'hidden0_input' takes shape \[null, 6\].*\[8, 6, 1\]/s);
  });

  it('y of the wrong width, with the shape it takes and the one it got', async () => {
    const error = await refusedFit(x, made(tf.zeros([8, 2])));
    expect(error['path']).toBe('x and y');
    expect(error.message).toMatch(/target.*\[\*,3\].*\[8,2\]/s);
  });

  it('x of text, with the dtype', async () => {
    const text = made(
      tf.tensor(
        Array.from({ length: 8 * FEATURES }, () => 'a'),
        [8, FEATURES],
      ),
    );
    const error = await refusedFit(text, y);
    expect(error['path']).toBe('x');
    expect(error.message).toMatch(/'x' has dtype 'string'.*float32, int32 and bool/s);
  });

  it('y of complex numbers, with the dtype', async () => {
    const error = await refusedFit(x, made(tf.complex(made(y.clone()), made(tf.zeros([8, 3])))));
    expect(error['path']).toBe('y');
    expect(error.message).toContain("'complex64'");
  });

  it.each([
    ['x', [[1, 2, 3, 4, 5, 6]], /tf\.Tensor.*Array/s],
    ['x', new Float32Array(6), /tf\.Tensor/],
    ['x', undefined, /tf\.Tensor.*undefined/s],
    ['x', null, /tf\.Tensor.*null/s],
    ['x', [], /tf\.Tensor/],
    ['x', { hidden0_input: 'data.csv' }, /tf\.Tensor.*String/s],
  ])('%s that is no tensor: %j', async (path, value, message) => {
    const error = await refusedFit(value, y);
    expect(error['path']).toBe(path);
    expect(error.message).toContain("'x' takes a tf.Tensor");
    expect(error.message).toMatch(message);
  });

  it('y that is no tensor', async () => {
    const error = await refusedFit(x, [0, 1, 2]);
    expect(error['path']).toBe('y');
    expect(error.message).toContain("'y' takes a tf.Tensor");
  });

  it('a tensor that was disposed', async () => {
    const gone = tf.zeros([8, FEATURES]);
    gone.dispose();
    const error = await refusedFit(gone, y);
    expect(error['path']).toBe('x');
    expect(error.message).toMatch(/disposed/);
  });

  it('a disposed target', async () => {
    const gone = tf.zeros([8, 3]);
    gone.dispose();
    expect(await refusedFit(x, gone)).toMatchObject({ path: 'y' });
  });

  it('no samples at all', async () => {
    const error = await refusedFit(made(tf.zeros([0, FEATURES])), made(tf.zeros([0, 3])));
    expect(error.message).toMatch(/no samples|0 samples|empty/i);
  });

  it('more inputs than the model has', async () => {
    const error = await refusedFit([x, x], y);
    expect(error.message).toMatch(/1 .*2/s);
  });

  it.each([
    ['batchSize', 0],
    ['batchSize', -8],
    ['batchSize', 2.5],
    ['batchSize', '32'],
    ['batchSize', Number.NaN],
    ['epochs', 0],
    ['epochs', 1.5],
    ['epochs', 'all'],
  ])('%s: %j', async (key, value) => {
    const error = await refusedFit(x, y, { [key]: value });
    expect(error['path']).toBe(key);
    expect(error.message).toContain(`'${key}' takes a whole number of at least 1, but got ${value}`);
  });

  it.each([
    ['initialEpoch', -1],
    ['initialEpoch', 0.5],
    ['initialEpoch', 'first'],
  ])('%s: %j', async (key, value) => {
    const error = await refusedFit(x, y, { epochs: 2, [key]: value });
    expect(error['path']).toBe(key);
    expect(error.message).toContain(`'${key}' takes a whole number of at least 0, but got ${value}`);
  });

  it.each([-0.1, 1, 1.5, Number.NaN, 'half'])('validationSplit: %j', async validationSplit => {
    const error = await refusedFit(x, y, { validationSplit });
    expect(error['path']).toBe('validationSplit');
    expect(error.message).toContain(`between 0 and 1, got ${validationSplit}`);
  });

  it('a validationSplit that leaves nothing to train on', async () => {
    const error = await refusedFit(x, y, { validationSplit: 0.95 });
    expect(error['path']).toBe('validationSplit');
    expect(error.message).toMatch(/0\.95 of 8 samples.*train/);
  });

  it.each(['tail', [[1]], [1, 2, 3]])('validationData that is no pair: %j', async validationData => {
    expect(await refusedFit(x, y, { validationData })).toMatchObject({ path: 'validationData' });
  });

  it('validationData of different lengths', async () => {
    const error = await refusedFit(x, y, { validationData: [x, made(tf.zeros([5, 3]))] });
    expect(error['path']).toMatch(/^validationData/);
    expect(error.message).toMatch(/8.*5/s);
  });

  it('validationData that is no tensor', async () => {
    expect(await refusedFit(x, y, { validationData: [x, 'labels'] })).toMatchObject({
      path: expect.stringMatching(/^validationData/),
    });
  });

  it.each([['verbose'], [7], [[null]], [[[]]], [() => {}]])('callbacks: %j', async callbacks => {
    const error = await refusedFit(x, y, { callbacks });
    expect(error['path']).toBe('callbacks');
    expect(error.message).toMatch(/onEpochEnd/);
  });

  it.each([
    [{ stepsPerEpoch: 0 }, 'stepsPerEpoch', /at least 1.*0/],
    [{ stepsPerEpoch: 3, batchSize: 4 }, 'stepsPerEpoch', /is 3, but 8 samples make 2 mini-batches of 4/],
    [{ validationSteps: 2 }, 'validationSteps', /'validationData' or 'validationSplit'/],
    [{ validationSplit: 0.5, validationSteps: 2 }, 'validationSteps', /is 2, but 4 samples make 1/],
    [{ shuffle: 'batch' }, 'shuffle', /true or false.*batch/],
    [{ verbose: 3 }, 'verbose', /0 or 1 or 2.*3/],
    [{ yieldEvery: 'sometimes' }, 'yieldEvery', /'auto', 'batch', 'epoch', 'never'.*sometimes/],
    [{ yieldEvery: -1 }, 'yieldEvery', /-1/],
    [{ yieldEvery: 'never', callbacks: { onYield: () => {} } }, 'yieldEvery', /onYield/],
    [{ terminateOnNaN: 'yes' }, 'terminateOnNaN', /true or false.*yes/],
    [{ learningRateSchedule: 0.1 }, 'learningRateSchedule', /a function.*0\.1/],
    [{ learningRateSchedule: () => Number.NaN }, 'learningRateSchedule', /NaN for batch 0 of epoch 0/],
    [{ classWeight: 'balanced' }, 'classWeight', /balanced/],
    [{ classWeight: [{ 0: 1 }, { 0: 2 }] }, 'classWeight', /list of 2 for a model of 1 output/],
    [{ classWeight: { 0: '1', 1: 1, 2: 1 } }, 'classWeight', /class 0 has 1/],
    [{ classWeight: { 0: 1 } }, 'classWeight', /no weight for class/],
    [{ sampleWeight: 3 }, 'sampleWeight', /one weight a sample.*3/],
    [{ sampleWeight: [] }, 'sampleWeight', /list of 0/],
  ] as const)('%j', async (args, path, message) => {
    const error = await refusedFit(x, y, args);
    expect(error['path']).toBe(path);
    expect(error.message).toMatch(message);
  });

  it.each([
    [() => tf.ones([7]), /shape \[8\].*float32 of shape \[7\]/],
    [() => tf.ones([8, 3]), /shape \[8\].*\[8, 3\]/],
    [() => tf.tensor1d([1, 1, 1, Number.NaN, 1, 1, 1, 1]), /NaN for sample 3/],
    [() => ({ tail: tf.ones([8]) }), /'tail'/],
  ])('sample weights that do not suit the samples: %s', async (make, message) => {
    const sampleWeight = make() as tf.Tensor;
    const error = await refusedFit(x, y, { sampleWeight });
    expect(error['path']).toBe('sampleWeight');
    expect(error.message).toMatch(message);
    tf.dispose(sampleWeight as tf.TensorContainer);
  });

  it.each([null, 5, 'fast'])('arguments that are %j', async args => {
    expect(await refusedFit(x, y, args)).toMatchObject({ path: 'args' });
  });

  it('a signal that is none', async () => {
    expect(await refusedFit(x, y, { signal: 'stop' })).toMatchObject({ path: 'signal' });
  });
});

describe('evaluate refuses', () => {
  const refused = (xs: unknown, ys: unknown, args = {}) =>
    refusal(() => trainer.evaluate(xs as UserTensors, ys as UserTensors, args));

  it('x and y of different lengths', async () => {
    expect(await refused(x, made(tf.zeros([7, 3])))).toMatchObject({
      name: 'ConfigurationError',
      path: 'x and y',
      message: expect.stringMatching(/8.*7/s),
    });
  });

  it('x of the wrong shape', async () => {
    expect((await refused(made(tf.zeros([8, 5])), y)).message).toMatch(
      /'hidden0_input'.*\[null, 6\].*\[8, 5\]/s,
    );
  });

  it('no samples', async () => {
    const error = await refused(made(tf.zeros([0, FEATURES])), made(tf.zeros([0, 3])));
    expect(error).toBeInstanceOf(ConfigurationError);
  });

  it.each([
    [{ batchSize: 0 }, 'batchSize'],
    [{ steps: 0 }, 'steps'],
    [{ batchSize: 4, steps: 3 }, 'steps'],
    [{ verbose: 1 }, 'verbose'],
    [{ sampleWeight: [1] }, 'sampleWeight'],
    [7, 'args'],
  ])('%j', async (args, path) => {
    expect(await refused(x, y, args as object)).toMatchObject({ path });
  });
});

describe('trainOnBatch refuses', () => {
  it.each([
    [{ classWeight: { 0: 1 } }, 'classWeight'],
    [{ sampleWeight: 2 }, 'sampleWeight'],
    [null, 'args'],
  ])('%j', async (args, path) => {
    expect(await refusal(() => trainer.trainOnBatch(x, y, args as object))).toMatchObject({ path });
  });

  it('x and y of different lengths', async () => {
    const error = await refusal(() => trainer.trainOnBatch(x, made(tf.zeros([7, 3]))));
    expect(error).toMatchObject({ name: 'ConfigurationError', path: 'x and y' });
  });
});

describe('predictOnBatch refuses', () => {
  it('x of the wrong shape', async () => {
    const error = await refusal(() => trainer.predictOnBatch(made(tf.zeros([8, 5]))));
    expect(error).toMatchObject({ name: 'ConfigurationError', path: 'x' });
  });
});

describe('predict refuses', () => {
  const refused = (xs: unknown, args = {}) => refusal(() => trainer.predict(xs as UserTensors, args));

  it('x of the wrong shape, with both shapes', async () => {
    const error = await refused(made(tf.zeros([8, 5])));
    expect(error).toMatchObject({ name: 'ConfigurationError', path: 'x' });
    expect(error.message).toMatch(/'hidden0_input' takes shape \[null, 6\].*\[8, 5\]/s);
  });

  it('a dictionary without the input, with the names that it has', async () => {
    expect((await refused({ pixels: x })).message).toMatch(/'hidden0_input'.*pixels/s);
  });

  it('two tensors for one input', async () => {
    expect((await refused([x, x])).message).toMatch(/1 input.*2 tensor/s);
  });

  it('what is no tensor', async () => {
    expect(await refused('x')).toMatchObject({ name: 'ConfigurationError', path: 'x' });
  });

  it('no samples', async () => {
    expect(await refused(made(tf.zeros([0, FEATURES])))).toBeInstanceOf(ConfigurationError);
  });

  it('a bad batchSize', async () => {
    expect(await refused(x, { batchSize: 1.5 })).toMatchObject({ path: 'batchSize' });
  });
});
