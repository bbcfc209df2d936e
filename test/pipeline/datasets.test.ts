/** What may be a dataset, what may not, and datasets that misbehave: the trainer says where, and works after each. */
import * as tf from '@tensorflow/tfjs';
import {
  ConfigurationError,
  type DatasetBatch,
  type FitDatasetArgs,
  type PipelinedModel,
  pipeline,
  type TrainerEvent,
  TrainingAbortedError,
  type UserDataset,
} from 'millrace';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  CLASSES,
  compile,
  compiledClassifier,
  expectSameWeights,
  FEATURES,
  isTraining,
  open,
  refusal,
  samples,
  TWO_STAGES,
  weightsOf,
} from './helpers.js';

let trainer: PipelinedModel;
let warnings: Extract<TrainerEvent, { kind: 'warning' }>[] = [];

beforeAll(async () => {
  await tf.setBackend('cpu');
  trainer = await pipeline(compiledClassifier(), TWO_STAGES);
  trainer.events$.subscribe(event => event.kind === 'warning' && warnings.push(event));
});
afterAll(() => trainer.close());

/** New tensors every time: a trainer disposes what it has read. */
const batch = (size: number, seed = 1): DatasetBatch => {
  const { x, y } = samples(size, seed);
  return { xs: x, ys: y };
};

function* batches(...sizes: number[]): Generator<DatasetBatch> {
  for (const size of sizes) yield batch(size, size);
}

/** Trains a fresh copy of the model on the same mini-batches plainly. */
async function twinAfter(...sizes: number[]): Promise<Float32Array[]> {
  const twin = compiledClassifier();
  for (const size of sizes) {
    const { xs, ys } = batch(size, size);
    await twin.trainOnBatch(xs, ys);
    tf.dispose([xs, ys] as tf.Tensor[]);
  }
  const weights = weightsOf(twin);
  twin.dispose();
  twin.optimizer.dispose();
  return weights;
}

const restart = (): void => {
  const fresh = compiledClassifier();
  trainer.model.setWeights(fresh.getWeights());
  fresh.optimizer.dispose();
  fresh.dispose();
  compile(trainer.model);
};

let tensorsBefore: number;
beforeEach(() => {
  restart();
  warnings = [];
  tensorsBefore = tf.memory().numTensors;
});

/** Nothing is left of a refusal, and the next fit trains. */
async function expectClean(): Promise<void> {
  expect(isTraining(trainer.model)).toBe(false);
  // The optimizer has the state that a fit brought back: that is no leak.
  const [iterations, ...slots] = await trainer.model.optimizer.getWeights();
  iterations!.tensor.dispose();
  expect(tf.memory().numTensors - slots.length).toBe(tensorsBefore);
  const expected = await twinAfter(5, 3);
  restart();
  await trainer.fitDataset(() => batches(5, 3), { epochs: 1 });
  expectSameWeights(weightsOf(trainer.model), expected);
}

describe('a dataset may be', () => {
  const forms: [string, () => UserDataset][] = [
    ['a generator function', () => () => batches(5, 3)],
    [
      'an async generator function',
      () =>
        async function* () {
          yield* batches(5, 3);
        },
    ],
    ['a generator object', () => batches(5, 3)],
    ['a list', () => [...batches(5, 3)]],
    [
      'an async iterable',
      () => ({
        [Symbol.asyncIterator]: async function* () {
          yield* batches(5, 3);
        },
      }),
    ],
    [
      'an object with an iterator() method',
      () => ({
        iterator: async () => {
          const all = batches(5, 3);
          return { next: async () => all.next() as IteratorResult<unknown> };
        },
      }),
    ],
    ['a tf.data dataset', () => tf.data.generator((() => batches(5, 3)) as never)],
    ['a function that promises a dataset', () => async () => batches(5, 3)],
  ];

  it.each(forms)('%s', async (_, dataset) => {
    const expected = await twinAfter(5, 3);
    await trainer.fitDataset(dataset(), { epochs: 1 });
    expectSameWeights(weightsOf(trainer.model), expected);
    const score = await trainer.evaluateDataset(dataset());
    expect(score).toHaveLength(2);
    tf.dispose(score);
  });

  it('an iterator that evaluateDataset goes on reading', async () => {
    const reading = batches(5, 3, 4);
    const scores = [
      await trainer.evaluateDataset(reading, { batches: 1 }),
      await trainer.evaluateDataset(() => batches(5)),
    ].map(values => (values as tf.Scalar[]).map(value => value.dataSync()[0]!));
    expect(scores[0]).toEqual(scores[1]);
  });
});

describe('fitDataset refuses', () => {
  afterEach(expectClean);
  const refused = (dataset: unknown, args: object = { epochs: 1 }) =>
    refusal(() => trainer.fitDataset(dataset as UserDataset, args as FitDatasetArgs));

  it.each([['data.csv'], [7], [null], [undefined], [{}], [{ xs: 1, ys: 2 }]])(
    'what is no dataset: %j',
    async dataset => {
      const error = await refused(dataset);
      expect(error).toBeInstanceOf(ConfigurationError);
      expect(error['path']).toBe('dataset');
      expect(error.message).toMatch(/'dataset' takes a tf\.data\.Dataset.*generator function/);
    },
  );

  it('a function that gives no dataset', async () => {
    expect(await refused(() => 7)).toMatchObject({
      path: 'dataset',
      message: expect.stringMatching(/Number/),
    });
  });

  it.each([
    ['epochs', {}],
    ['epochs', { epochs: 0 }],
    ['epochs', { epochs: 1.5 }],
    ['batchesPerEpoch', { epochs: 1, batchesPerEpoch: 0 }],
    ['validationBatches', { epochs: 1, validationBatches: -1 }],
    ['validationBatchSize', { epochs: 1, validationBatchSize: 0 }],
    ['initialEpoch', { epochs: 1, initialEpoch: -1 }],
    ['validationSplit', { epochs: 1, validationSplit: 0.5 }],
    ['batchSize', { epochs: 1, batchSize: 8 }],
    ['sampleWeight', { epochs: 1, sampleWeight: [] }],
    ['validationData', { epochs: 1, validationData: 'held.csv' }],
    ['validationData', { epochs: 1, validationData: [1] }],
    ['classWeight', { epochs: 1, classWeight: 3 }],
    ['signal', { epochs: 1, signal: 'stop' }],
    ['args', null],
  ])('a bad %s: %j', async (path, args) => {
    const error = await refused(() => batches(4), args as object);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe(path);
  });

  it('a generator object for several epochs, before anything is trained', async () => {
    const before = weightsOf(trainer.model);
    const error = await refused(batches(4), { epochs: 2 });
    expect(error.message).toMatch(/read only once, but 2 epochs.*generator function/s);
    expect(weightsOf(trainer.model)).toEqual(before);
    expect(await refused(() => batches(4), { epochs: 2, validationData: batches(4) })).toMatchObject({
      path: 'validationData',
    });
  });

  const elements: [string, () => unknown, RegExp][] = [
    ['a number', () => 5, /got Number/],
    ['a list of two', () => Object.values(batch(4)), /\{ xs, ys \}.*got Array/],
    ['other names', () => ({ x: 1, y: 2 }), /got an object with x, y/],
    ['no targets', () => ({ xs: 1 }), /got an object with xs/],
    [
      'samples that are no tensors',
      () => ({ xs: new Float32Array(FEATURES), ys: 1 }),
      /dataset\.batch\(size\)/,
    ],
    ['two inputs for one', () => ({ ...batch(4), xs: [batch(4).xs, batch(4).ys] }), /1 input.*2 tensor/],
    [
      'a dictionary without the input',
      () => ({ ...batch(4), xs: { pixels: batch(4).xs } }),
      /hidden0_input.*pixels/,
    ],
    ['x of another width', () => ({ ...batch(4), xs: tf.zeros([4, 7]) }), /\[null, 6\].*\[4, 7\]/],
    ['y of another width', () => ({ ...batch(4), ys: tf.zeros([4, 2]) }), /\[4, 2\].*\[null, 3\]/],
    [
      'different numbers of samples',
      () => ({ ...batch(4), ys: tf.zeros([3, CLASSES]) }),
      /4, but 'head' has 3/,
    ],
    ['no samples', () => ({ xs: tf.zeros([0, FEATURES]), ys: tf.zeros([0, CLASSES]) }), /no samples/],
    ['text', () => ({ ...batch(4), xs: tf.tensor(Array(24).fill('a'), [4, 6]) }), /'string'/],
    ['too many sample weights', () => ({ ...batch(4), sampleWeight: tf.ones([5]) }), /\[4\].*\[5\]/],
  ];

  it.each(elements)('%s, and says which mini-batch it was', async (_, element, message) => {
    let leftOver = 0;
    const dataset = function* () {
      yield batch(5);
      const before = tf.memory().numTensors;
      yield element() as DatasetBatch;
      leftOver = tf.memory().numTensors - before;
    };
    const error = await refused(dataset);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe('dataset');
    expect(error.message).toMatch(/^dataset, batch 1 of epoch 0: /);
    expect(error.message).toMatch(message);
    expect(leftOver).toBe(0);
    // What a test threw away while it made the element is no concern of the trainer's.
    tensorsBefore = tf.memory().numTensors;
  });

  it('the same tensors twice, with the remedy', async () => {
    const same = batch(4);
    const error = await refused(() => [same, same]);
    expect(error.message).toMatch(/batch 1 of epoch 0.*disposed.*yield new ones or clones/s);
  });

  it('a class that classWeight lacks', async () => {
    const error = await refused(() => batches(8), { epochs: 1, classWeight: { 0: 1 } });
    expect(error.message).toMatch(/'classWeight' must contain every class.*no weight for class [12]/);
  });
});

describe('a dataset that', () => {
  afterEach(expectClean);

  it.each([0, 1])('throws after %i mini-batches makes fit reject with that very error', async count => {
    const thrown = new RangeError('no more disk');
    const dataset = async function* () {
      yield* batches(...[4, 5].slice(0, count));
      throw thrown;
    };
    expect(await refusal(() => trainer.fitDataset(dataset, { epochs: 2 }))).toBe(thrown);
    expect(await refusal(() => trainer.evaluateDataset(dataset))).toBe(thrown);
    const validating = { epochs: 1, validationData: dataset };
    expect(await refusal(() => trainer.fitDataset(() => batches(4), validating))).toBe(thrown);
  });

  it('gives nothing is warned of, and nothing is trained', async () => {
    const before = weightsOf(trainer.model);
    const { history, epoch } = await trainer.fitDataset(() => batches(), { epochs: 2 });
    expect({ history, epoch }).toEqual({ history: {}, epoch: [0, 1] });
    expect(weightsOf(trainer.model)).toEqual(before);
    expect(warnings.map(({ code, epoch: at }) => [code, at])).toEqual([
      ['DATASET_EMPTY', 0],
      ['DATASET_EMPTY', 1],
    ]);
    expect(await refusal(() => trainer.evaluateDataset(() => batches()))).toMatchObject({
      path: 'dataset',
      message: expect.stringMatching(/no mini-batch/),
    });
  });

  it('ends before `batches` are evaluated is warned of', async () => {
    tf.dispose(await trainer.evaluateDataset(() => batches(4, 2), { batches: 3 }));
    expect(warnings).toMatchObject([
      { code: 'DATASET_ENDED', message: expect.stringMatching(/'dataset' ended after 2 of 3/) },
    ]);
  });

  it('is not read to its end is told so: a generator cleans up', async () => {
    const ended: string[] = [];
    const dataset = (name: string) =>
      async function* () {
        try {
          for (;;) yield batch(4);
        } finally {
          ended.push(name);
        }
      };
    await trainer.fitDataset(dataset('fit'), { epochs: 2, batchesPerEpoch: 2 });
    expect(ended).toEqual(['fit']);
    tf.dispose(await trainer.evaluateDataset(dataset('evaluate'), { batches: 2 }));
    expect(ended).toEqual(['fit', 'evaluate']);
    const onBatchEnd = () => {
      throw new Error('enough');
    };
    await refusal(() => trainer.fitDataset(dataset('throwing'), { epochs: 1, callbacks: { onBatchEnd } }));
    expect(ended).toEqual(['fit', 'evaluate', 'throwing']);
  });

  it('never answers does not keep a signal from stopping the fit, whose weights are kept', async () => {
    const expected = await twinAfter(6);
    restart();
    tensorsBefore = tf.memory().numTensors;
    const abort = new AbortController();
    const hanging = async function* () {
      yield batch(6, 6);
      setImmediate(() => abort.abort());
      await new Promise(() => {});
    };
    const error = await refusal(() => trainer.fitDataset(hanging, { epochs: 1, signal: abort.signal }));
    expect(error).toBeInstanceOf(TrainingAbortedError);
    expectSameWeights(weightsOf(trainer.model), expected);
  });
});

it('a dataset that never answers does not keep close from ending', async () => {
  const closing = await open(compiledClassifier());
  let asked = (): void => {};
  const isAsked = new Promise<void>(resolve => {
    asked = resolve;
  });
  const hanging = async function* () {
    yield batch(4);
    asked();
    await new Promise(() => {});
  };
  const call = refusal(() => closing.fitDataset(hanging, { epochs: 1 }));
  await isAsked;
  await closing.close();
  expect(await call).toBeInstanceOf(TrainingAbortedError);
});

it('warnings that nobody listens to go to the console, as those of tfjs', async () => {
  const silent = await open(compiledClassifier());
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  await silent.fitDataset(() => batches(4), { epochs: 1, batchesPerEpoch: 2 });
  expect(warn.mock.calls).toEqual([[expect.stringMatching(/^Millrace: The dataset ended after 1 of the 2/)]]);
  warn.mockRestore();
});

describe('labels that are no class of a sparse loss', () => {
  it.each([3, -1, Number.NaN])('%d is refused with sample and output, in all methods', async label => {
    const model = compiledClassifier({ loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
    const sparse = await open(model);
    const { x } = samples(6);
    const labels = (wrong: number) => tf.tensor1d([0, 1, 2, 0, wrong, 1]);
    const message = new RegExp(
      `output 'head' holds the label ${label} in sample 4.* 3 classes: labels are 0 … 2`,
    );
    for (const call of [
      () => sparse.fit(x, labels(label)),
      () => sparse.evaluate(x, labels(label)),
      () => sparse.trainOnBatch(x, labels(label)),
      () => sparse.fit(x, labels(1), { validationData: [x, labels(label)] }),
      () => sparse.fitDataset(() => [{ xs: x.clone(), ys: labels(label) }], { epochs: 1 }),
    ]) {
      const error = await refusal(call);
      expect(error).toBeInstanceOf(ConfigurationError);
      expect(error.message).toMatch(message);
    }
    const twin = compiledClassifier({ loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
    const expected = await twin.fitDataset(
      tf.data.generator((() => [{ xs: x.clone(), ys: labels(2) }].values()) as never),
      { epochs: 1 },
    );
    const actual = await sparse.fitDataset(() => [{ xs: x.clone(), ys: labels(2) }], { epochs: 1 });
    expect(actual.history['loss']![0]).toBeCloseTo(expected.history['loss']![0] as number, 5);
    expectSameWeights(weightsOf(model), weightsOf(twin));
  });
});
