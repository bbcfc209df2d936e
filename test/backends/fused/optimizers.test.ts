/**
 * The in-place optimizers against tfjs's own, fed the same gradients: end to end, adaptive rules amplify the rounding of
 * gradients that are zero but for it, and would hide an error.
 */
import * as tf from '@tensorflow/tfjs';
import { StateError } from 'millrace';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { type InPlaceOptimizerFactory, liesIn, loadBackend, placeIn } from '#internal/backends/index.js';
import { opOptimizer } from '#internal/backends/tensorflow/optimizers/index.js';
import { heapOptimizer } from '#internal/backends/wasm/optimizers/index.js';
import { backends, HAS_KERNELS, useBackend } from '../../helpers/backends.js';
import { expectClose } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';

const MAKERS: Record<string, () => tf.Optimizer> = {
  sgd: () => tf.train.sgd(0.1),
  momentum: () => tf.train.momentum(0.05, 0.9),
  nesterov: () => tf.train.momentum(0.05, 0.9, true),
  adagrad: () => tf.train.adagrad(0.05),
  'adagrad from zero': () => tf.train.adagrad(0.05, 0),
  rmsprop: () => tf.train.rmsprop(0.01),
  'rmsprop with momentum': () => tf.train.rmsprop(0.01, 0.8, 0.7),
  adam: () => tf.train.adam(0.01),
  'adam with other betas': () => tf.train.adam(0.003, 0.8, 0.95, 1e-4),
  adamax: () => tf.train.adamax(0.01),
  'adamax with decay': () => tf.train.adamax(0.01, 0.9, 0.99, 1e-6, 0.1),
};

interface Subject {
  readonly kind: string;
  readonly backend: 'tensorflow' | 'wasm';
  readonly makeInPlace: InPlaceOptimizerFactory;
  /** Of `MAKERS`, what the backend leaves to tfjs. */
  readonly lacks: readonly string[];
  /** Tensors that it holds for each weight besides the slots. */
  readonly perWeight: number;
}

/** Where replicas would read a weight: in memory that threads share. */
function placeOf({ size }: tf.Variable): Float32Array<SharedArrayBuffer> {
  const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  return placeIn(buffer as unknown as SharedArrayBuffer, 128, size);
}

const SUBJECTS: readonly Subject[] = [
  { kind: 'tensorflow', backend: 'tensorflow', makeInPlace: opOptimizer, lacks: [], perWeight: 1 },
  {
    kind: 'tensorflow, in shared memory',
    backend: 'tensorflow',
    makeInPlace: (optimizer, variables) => opOptimizer(optimizer, variables, variables.map(placeOf)),
    lacks: [],
    perWeight: HAS_KERNELS ? 0 : 1,
  },
  {
    kind: 'wasm',
    backend: 'wasm',
    makeInPlace: heapOptimizer,
    lacks: ['adamax', 'adamax with decay'],
    perWeight: 0,
  },
];

const SCALES = [1, 1e-2, 1e-4, 1e-6, 1e-8];
const SHAPES = [[5, 4], [7], [1], [2, 3, 2, 2]];
/** Ten steps of float32 rounding; without the remedies of `resource-rules.ts` the difference is 1e-4 to 1e-2. */
const TOLERANCE = 2e-6;

let names = 0;

/** Two lists of variables with the same values, one for each side. */
function makeVariables(): [tf.Variable[], tf.Variable[]] {
  const make = (): tf.Variable[] =>
    SHAPES.map((shape, index) => tf.variable(uniform(shape, 7 + index), true, `optimized_${names++}`));
  return [make(), make()];
}

const gradientsAt = (step: number, scale: number): tf.Tensor[] =>
  SHAPES.map((shape, index) => tf.tidy(() => tf.mul(uniform(shape, 100 * step + index + 1), scale)));

function stepPlainly(
  optimizer: tf.Optimizer,
  variables: tf.Variable[],
  gradients: (tf.Tensor | undefined)[],
): void {
  const named = variables.map(({ name }, index) => ({ name, tensor: gradients[index] }));
  optimizer.applyGradients(named as { name: string; tensor: tf.Tensor }[]);
}

/** What each side has moved by: comparing weights themselves would hide small updates behind large values. */
function expectSameMoves(
  actual: tf.Variable[],
  reference: tf.Variable[],
  starts: Float32Array[],
  what: string,
) {
  for (const [index, variable] of reference.entries()) {
    const start = starts[index]!;
    const move = (moved: tf.Variable): Float32Array =>
      moved
        .dataSync()
        .slice()
        .map((x, i) => x - start[i]!) as Float32Array;
    const size = Math.max(...move(variable).map(Math.abs), 1e-12);
    // Values near 1 carry a rounding of 6e-8 themselves.
    expectClose(
      move(actual[index]!).map(x => x / size),
      move(variable).map(x => x / size),
      `${what}, variable ${index}`,
      TOLERANCE + 3e-7 / size,
    );
  }
}

const PRESENT = SUBJECTS.filter(({ backend }) => backends().includes(backend));

describe.each(PRESENT)('an in-place optimizer on $kind', ({ backend, makeInPlace, lacks, perWeight }) => {
  beforeAll(() => useBackend(backend));

  describe.each(Object.entries(MAKERS).filter(([name]) => !lacks.includes(name)))('%s', (_, make) => {
    it.each(SCALES)('steps as tfjs does with gradients near %s', scale => {
      const [plain, inPlace] = makeVariables();
      const reference = make();
      const optimizer = makeInPlace(make(), inPlace)!;
      const starts = plain.map(variable => variable.dataSync().slice() as Float32Array);
      for (let step = 0; step < 10; step++) {
        const gradients = gradientsAt(step, scale);
        stepPlainly(reference, plain, gradients);
        optimizer.apply(gradients, Number.NaN);
        tf.dispose(gradients);
      }
      expectSameMoves(inPlace, plain, starts, 'ten steps');
      expect(optimizer.iterations).toBe(10);
      optimizer.dispose();
      tf.dispose([plain, inPlace]);
    });

    it('goes on from slots that tfjs saved, follows the rate, and leaves what has no gradient', async () => {
      const [plain, inPlace] = makeVariables();
      const reference = make();
      const setRate = (rate: number): void => {
        const settable = reference as unknown as {
          setLearningRate?(rate: number): void;
          learningRate: number;
        };
        if (settable.setLearningRate === undefined) settable.learningRate = rate;
        else settable.setLearningRate(rate);
      };
      const skipping = (step: number): (tf.Tensor | undefined)[] =>
        gradientsAt(step, 1e-2).map((gradient, index) =>
          index === 1 && step % 2 === 0 ? undefined : gradient,
        );
      for (let step = 0; step < 3; step++) stepPlainly(reference, plain, skipping(step));
      for (const [index, variable] of inPlace.entries()) variable.assign(plain[index]!);
      const optimizer = makeInPlace(make(), inPlace)!;
      const saved = await reference.getWeights().catch(() => undefined);
      // Adamax's slots cannot be saved; both sides start anew then.
      if (saved === undefined) return;
      const [iterations, ...slots] = saved.map(({ tensor }) => tensor);
      const groups = Array.from({ length: slots.length / SHAPES.length }, (_group, group) =>
        slots.slice(group * SHAPES.length, (group + 1) * SHAPES.length),
      );
      optimizer.writeSlots(iterations!.dataSync()[0]!, groups);
      const starts = plain.map(variable => variable.dataSync().slice() as Float32Array);
      for (let step = 3; step < 8; step++) {
        const rate = 0.02 / step;
        setRate(rate);
        stepPlainly(reference, plain, skipping(step));
        optimizer.apply(skipping(step), rate);
      }
      expectSameMoves(inPlace, plain, starts, 'resumed');
      const [, ...expected] = (await reference.getWeights()).map(({ tensor }) => tensor);
      const actual = optimizer.readSlots().flat();
      expect(actual).toHaveLength(expected.length);
      for (const [index, slot] of expected.entries()) {
        expectClose(actual[index]!.dataSync(), slot.dataSync(), `slot ${index}`);
      }
    });
  });

  it.runIf(backend === 'wasm').each(Object.entries(MAKERS).filter(([name]) => !lacks.includes(name)))(
    'gives the very bits of tfjs: %s',
    (_, make) => {
      const [plain, inPlace] = makeVariables();
      const reference = make();
      const optimizer = makeInPlace(make(), inPlace)!;
      for (let step = 0; step < 10; step++) {
        const gradients = gradientsAt(step, 1e-3);
        stepPlainly(reference, plain, gradients);
        optimizer.apply(gradients, Number.NaN);
      }
      for (const [index, variable] of plain.entries()) {
        expect(inPlace[index]!.dataSync()).toEqual(variable.dataSync());
      }
    },
  );

  it('notices that a variable was assigned between two steps', () => {
    const [plain, inPlace] = makeVariables();
    const reference = tf.train.momentum(0.1, 0.9);
    const optimizer = makeInPlace(tf.train.momentum(0.1, 0.9), inPlace)!;
    for (let step = 0; step < 4; step++) {
      const gradients = gradientsAt(step, 1);
      stepPlainly(reference, plain, gradients);
      optimizer.apply(gradients, Number.NaN);
      for (const [index, shape] of SHAPES.entries()) {
        const value = uniform(shape, 50 + step + index);
        plain[index]!.assign(value);
        inPlace[index]!.assign(value);
      }
    }
    const last = gradientsAt(9, 1);
    stepPlainly(reference, plain, last);
    optimizer.apply(last, Number.NaN);
    for (const [index, variable] of plain.entries()) {
      expectClose(inPlace[index]!.dataSync(), variable.dataSync(), `variable ${index}`);
    }
  });

  it('never writes into memory that it was given', () => {
    const given = new Float32Array(new WebAssembly.Memory({ initial: 1 }).buffer, 0, 16).fill(1);
    const variable = tf.variable(tf.tensor(given, [16]), true, `optimized_${names++}`);
    const optimizer = makeInPlace(tf.train.sgd(1), [variable])!;
    // A first op makes TensorFlow use the array in place.
    tf.add(variable, 1).dispose();
    const gradient = tf.ones([16]);
    optimizer.apply([gradient], Number.NaN);
    optimizer.apply([gradient], Number.NaN);
    expect([...variable.dataSync()]).toEqual(new Array(16).fill(-1));
    expect([...given]).toEqual(new Array(16).fill(1));
  });

  it('asks for each gradient when the weight before has its new value, and says so', () => {
    const weights = [1, 2, 3].map(value => tf.variable(tf.fill([20], value), true, `optimized_${names++}`));
    const optimizer = makeInPlace(tf.train.sgd(1), weights)!;
    const values = (): number[] => weights.map(weight => weight.dataSync()[0]!);
    const seen: number[][] = [];
    function* inTurn(): Generator<tf.Tensor | undefined> {
      for (const place of weights.keys()) {
        seen.push(values());
        yield place === 1 ? undefined : tf.ones([20]);
      }
    }
    const stepped: number[] = [];
    optimizer.apply(inTurn(), Number.NaN, index => {
      expect(values()[index]).toBe(index);
      stepped.push(index);
    });
    expect(seen).toEqual([
      [1, 2, 3],
      [0, 2, 3],
      [0, 2, 3],
    ]);
    expect(stepped).toEqual([0, 2]);
  });

  it('is seen by the products of a weight that was multiplied with before', () => {
    const weight = tf.variable(tf.ones([4, 3]), true, `optimized_${names++}`);
    const optimizer = makeInPlace(tf.train.sgd(1), [weight])!;
    const x = tf.ones([2, 4]);
    for (const expected of [4, 0, -4]) {
      expect([...tf.matMul(x, weight as tf.Tensor2D).dataSync()]).toEqual(new Array(6).fill(expected));
      optimizer.apply([tf.ones([4, 3])], Number.NaN);
    }
  });

  it('has no memory but its slots, and leaves no tensor over', () => {
    const variable = tf.variable(tf.zeros([1000]), true, `optimized_${names++}`);
    const optimizer = makeInPlace(tf.train.adam(0.1), [variable])!;
    const gradient = tf.ones([1000]);
    optimizer.apply([gradient], Number.NaN);
    const before = tf.memory();
    for (let step = 0; step < 5; step++) optimizer.apply([gradient], Number.NaN);
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numDataBuffers).toBe(before.numDataBuffers);
    optimizer.dispose();
    expect(tf.memory().numTensors).toBe(before.numTensors - 2 - perWeight);
    expect(variable.dataSync()[0]).not.toBe(0);
  });

  it('leaves Adadelta, centered RMSProp, classes of the user and what it does not know to tfjs', () => {
    class Own extends tf.SGDOptimizer {}
    for (const optimizer of [
      ...lacks.map(name => MAKERS[name]!()),
      tf.train.adadelta(),
      tf.train.rmsprop(0.1, 0.9, 0, undefined, true),
      new Own(0.1),
    ]) {
      expect(makeInPlace(optimizer, [])).toBeUndefined();
    }
  });
});

const HANDED = [
  ['tensorflow', opOptimizer],
  ['wasm', heapOptimizer],
] as const;

describe.each(HANDED.filter(([backend]) => backends().includes(backend)))('on %s', (backend, makeInPlace) => {
  it('is handed to stages unless MILLRACE_FUSED is 0', async () => {
    expect((await loadBackend(backend)).fused?.optimizer).toBe(makeInPlace);
    vi.stubEnv('MILLRACE_FUSED', '0');
    try {
      expect((await loadBackend(backend)).fused).toBeUndefined();
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe.runIf(HAS_KERNELS && backends().includes('tensorflow'))('a weight that replicas share', () => {
  beforeAll(() => useBackend('tensorflow'));

  it('is stepped where they read it, and moves there again when it has been set', () => {
    const variable = tf.variable(tf.ones([20]), true, `optimized_${names++}`);
    const place = placeOf(variable);
    const optimizer = opOptimizer(tf.train.sgd(1), [variable], [place])!;
    const gradient = tf.ones([20]);
    for (const expected of [0, -1, 4, 3]) {
      if (expected === 4) variable.assign(tf.fill([20], 5));
      optimizer.apply([gradient], Number.NaN);
      expect(liesIn(variable, place)).toBe(true);
      for (const seen of [place, variable.dataSync()])
        expect([...seen]).toEqual(new Array(20).fill(expected));
    }
    optimizer.dispose();
  });

  it.each(Object.entries(MAKERS))('becomes what is no number where it does in tfjs: %s', (_, make) => {
    const gradients = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1e30, -1e-30];
    const [plain, placed] = [1, 2].map(() => tf.variable(tf.ones([6]), true, `optimized_${names++}`));
    const reference = make();
    const optimizer = opOptimizer(make(), [placed!], [placeOf(placed!)])!;
    const gradient = tf.tensor1d(gradients);
    for (let step = 0; step < 2; step++) {
      stepPlainly(reference, [plain!], [gradient]);
      optimizer.apply([gradient], Number.NaN);
    }
    const kindOf = (value: number): number | string => (Number.isFinite(value) ? 'finite' : value);
    expect([...placed!.dataSync()].map(kindOf)).toEqual([...plain!.dataSync()].map(kindOf));
    optimizer.dispose();
  });

  it('may stand on the list twice', () => {
    const [plain, placed] = [1, 2].map(() => tf.variable(tf.ones([20]), true, `optimized_${names++}`));
    const place = placeOf(placed!);
    const optimizers = [
      opOptimizer(tf.train.momentum(1, 0.5), [plain!, plain!]),
      opOptimizer(tf.train.momentum(1, 0.5), [placed!, placed!], [place, place]),
    ];
    const gradients = [tf.ones([20]), tf.fill([20], 2)];
    for (let step = 0; step < 2; step++) {
      for (const optimizer of optimizers) optimizer!.apply(gradients, Number.NaN);
    }
    expect(placed!.dataSync()).toEqual(plain!.dataSync());
    expect(place[0]).toBe(1 - 3 - 4.5);
    for (const optimizer of optimizers) optimizer!.dispose();
  });

  it('has slots and gradients of its size', () => {
    const variable = tf.variable(tf.ones([20]), true, `optimized_${names++}`);
    const optimizer = opOptimizer(tf.train.adam(1), [variable], [placeOf(variable)])!;
    expect(() => optimizer.apply([tf.ones([21])], Number.NaN)).toThrow(/weight's size/);
    expect([...variable.dataSync()]).toEqual(new Array(20).fill(1));
    optimizer.dispose();
  });

  it('is refused a place where no tensor can lie', () => {
    expect(() => placeIn(new SharedArrayBuffer(256), 4, 20)).toThrow(StateError);
  });

  it('is not stepped without a place', () => {
    const variable = tf.variable(tf.ones([20]), true, `optimized_${names++}`);
    const optimizer = opOptimizer(tf.train.sgd(1), [variable], [undefined])!;
    optimizer.apply([undefined], Number.NaN);
    expect(() => optimizer.apply([tf.ones([20])], Number.NaN)).toThrow(StateError);
    optimizer.dispose();
  });
});
