/** Layers whose calls run as graphs, against the same layers op by op. */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Backend, loadBackend } from '#internal/backends/index.js';
import { canonicalWeights } from '#internal/model/index.js';
import { backwardInput } from '#internal/stages/backward.js';
import { traceLayers } from '#internal/stages/tracing/index.js';
import { MOST_TRACES } from '#internal/stages/tracing/traced-layer.js';
import { disposeTape, recordTape, variableOf } from '#internal/tfjs/internals.js';
import { backends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../helpers/compare.js';
import { uniform } from '../helpers/data.js';

type Kwargs = { training?: boolean; mask?: tf.Tensor | tf.Tensor[] | null };
type Compute = (inputs: tf.Tensor[], weights: tf.Tensor[], kwargs: Kwargs) => tf.Tensor | tf.Tensor[];

interface OwnWeight {
  readonly shape: number[];
  readonly trainable?: boolean;
}

/** A layer of a user's own that computes whatever a test says. */
class Own extends tf.layers.Layer {
  static readonly className = 'Own';
  readonly compute: Compute;
  readonly own: readonly OwnWeight[];
  inner: tf.layers.Layer | undefined;

  constructor(compute: Compute, own: readonly OwnWeight[] = []) {
    super({});
    this.compute = compute;
    this.own = own;
  }

  override build(): void {
    const initializer = tf.initializers.zeros();
    for (const [index, { shape, trainable = true }] of this.own.entries()) {
      this.addWeight(`own${index}`, shape, 'float32', initializer, undefined, trainable);
    }
    this.built = true;
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Kwargs): tf.Tensor | tf.Tensor[] {
    const read = this.weights.map(weight => weight.read());
    return tf.tidy(() => this.compute(Array.isArray(inputs) ? inputs : [inputs], read, kwargs));
  }
}

interface Pass {
  readonly outputs: tf.Tensor[];
  readonly inputGradients: (tf.Tensor | undefined)[];
  readonly weightGradients: (tf.Tensor | undefined)[];
}

/** Broken by TensorFlow's graph optimizer: it computes something else, or does not run. */
const CHANGED = /graph optimizer changes what '[^']*' computes, so/;
const NOT_RUNNING = /graph optimizer changes what '[^']*' computes \(TensorFlow does not run the graph/;

const isTensor = (value: tf.Tensor | undefined): value is tf.Tensor => value !== undefined;

/** One training pass, with B and W apart as a stage runs them. */
function train(
  layer: Own,
  inputs: readonly tf.Tensor[],
  kwargs: Kwargs = {},
  betweenBAndW = (): void => {},
): Pass {
  const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable);
  const { result: outputs, tape } = recordTape(() => {
    const result = layer.call([...inputs], { training: true, ...kwargs });
    return (Array.isArray(result) ? result : [result]).map(output => tf.keep(tf.clone(output)));
  });
  const seeds = new Map(
    outputs.flatMap((output, index) =>
      output.dtype === 'float32' ? [[output.id, uniform(output.shape, 70 + index)] as const] : [],
    ),
  );
  const { inputGradients, deferred } = backwardInput({
    tape,
    samples: inputs,
    inputs: inputs.filter(({ dtype }) => dtype === 'float32'),
    variables,
    seeds,
  });
  betweenBAndW();
  const weightGradients = deferred.compute();
  disposeTape(tape);
  return { outputs, inputGradients: [...inputGradients], weightGradients };
}

function disposePass({ outputs, inputGradients, weightGradients }: Pass): void {
  tf.dispose([...outputs, ...inputGradients.filter(isTensor), ...weightGradients.filter(isTensor)]);
}

describe.runIf(backends().includes('tensorflow'))('a traced layer', () => {
  let backend: Backend;
  const warnings: string[] = [];

  beforeAll(async () => {
    await useBackend('tensorflow');
    backend = await loadBackend('tensorflow');
  });

  const spyOnWarnings = (): void => {
    warnings.length = 0;
    vi.spyOn(process, 'emitWarning').mockImplementation(message => {
      warnings.push(String(message));
    });
  };
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** The same layer untraced and traced, with the same weights. */
  function makePair(compute: Compute, own: readonly OwnWeight[] = []): { plain: Own; traced: Own } {
    const make = (): Own => {
      const layer = new Own(compute, own);
      layer.build();
      const values = own.map(({ shape }, index) => uniform(shape, 30 + index));
      layer.setWeights(values);
      tf.dispose(values);
      return layer;
    };
    const [plain, traced] = [make(), make()];
    traceLayers(traced, backend, ['Own']);
    return { plain, traced };
  }

  function disposeWeights(...layers: readonly Own[]): void {
    for (const layer of layers) for (const weight of canonicalWeights(layer)) variableOf(weight).dispose();
  }

  function expectSamePass(actual: Pass, expected: Pass): void {
    expectTensorsClose(actual.outputs, expected.outputs, 'output');
    for (const kind of ['inputGradients', 'weightGradients'] as const) {
      expect(actual[kind]).toHaveLength(expected[kind].length);
      for (const [index, gradient] of expected[kind].entries()) {
        const other = actual[kind][index];
        if (gradient === undefined) expect(other).toBeUndefined();
        else expectTensorsClose([other!], [gradient], kind);
      }
    }
    for (const pass of [actual, expected]) disposePass(pass);
  }

  /** Trains and predicts twice with either, the second time with other samples. */
  function expectSame(
    compute: Compute,
    own: readonly OwnWeight[],
    inputShapes: readonly number[][],
    known: readonly RegExp[] = [CHANGED],
  ): boolean {
    spyOnWarnings();
    const before = tensorCount();
    const { plain, traced } = makePair(compute, own);
    for (const seed of [1, 2]) {
      const inputs = inputShapes.map((shape, index) => uniform(shape, 10 * seed + index));
      expectSamePass(train(traced, inputs), train(plain, inputs));
      const predicted = [traced, plain].map(layer =>
        layer.call([...inputs], { training: false }),
      ) as tf.Tensor[];
      expectTensorsClose([predicted[0]!].flat(), [predicted[1]!].flat(), 'prediction');
      tf.dispose([predicted, inputs]);
    }
    disposeWeights(plain, traced);
    expect(tensorCount()).toBe(before);
    // What TensorFlow's graph optimizer breaks runs op by op; which steps those are is not ours to say.
    expect(warnings.filter(text => !known.some(pattern => pattern.test(text)))).toEqual([]);
    return warnings.length === 0;
  }

  /** Steps of a random computation on matrices of one shape: each appends a value made from two earlier ones. */
  const STEPS: Readonly<Record<string, (a: tf.Tensor, b: tf.Tensor) => tf.Tensor>> = {
    add: (a, b) => tf.add(a, b),
    multiply: (a, b) => tf.mul(a, b),
    tanh: a => tf.tanh(a),
    softmax: a => tf.softmax(a),
    product: (a, b) =>
      tf.matMul(tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, false, true), b as tf.Tensor2D),
    swapped: a => tf.transpose(tf.reshape(tf.transpose(a), [a.shape[1]!, a.shape[0]!])),
    centred: a => tf.sub(a, tf.mean(a, 1, true)),
    halves: a =>
      tf.concat(tf.split(tf.concat([a, a], 1), 2, 1).reverse(), 1).slice([0, 0], a.shape as [number, number]),
    scaled: a => tf.mul(a, 0.25),
    same: a => a,
  };

  it('computes what it computes op by op, forward and backward, whatever that is', () => {
    const step = fc.record({ name: fc.constantFrom(...Object.keys(STEPS)), a: fc.nat(), b: fc.nat() });
    const size = fc.integer({ min: 1, max: 4 });
    const RUNS = 25;
    // TensorFlow 2.15's graph optimizer makes a graph of it that does not run.
    const NOT_RUN = [
      { name: 'product', a: 0, b: 1 },
      { name: 'swapped', a: 2, b: 0 },
      { name: 'add', a: 3, b: 0 },
    ];
    let tracedRuns = 0;
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 8 }),
        size,
        size,
        fc.integer({ min: 1, max: 2 }),
        fc.integer({ min: 0, max: 2 }),
        (steps, rows, columns, inputCount, weightCount) => {
          const compute: Compute = (inputs, weights) => {
            const values = [...inputs, ...weights];
            for (const { name, a, b } of steps) {
              values.push(STEPS[name]!(values[a % values.length]!, values[b % values.length]!));
            }
            // What a layer returns is disposed, which a weight must not be.
            return tf.clone(values.at(-1)!);
          };
          const shape = [rows, columns];
          const isTraced = expectSame(
            compute,
            Array.from({ length: weightCount }, () => ({ shape })),
            Array.from({ length: inputCount }, () => shape),
            // What the optimizer takes for a transpose too many or too few no longer fits what it meets.
            steps.some(({ name }) => name === 'swapped') ? [CHANGED, NOT_RUNNING] : [CHANGED],
          );
          if (isTraced) tracedRuns += 1;
        },
      ),
      { numRuns: RUNS + 1, examples: [[NOT_RUN, 1, 2, 1, 1]] },
    );
    expect(tracedRuns).toBeGreaterThan(RUNS / 2);
  });

  const attention: Compute = ([x], [projection, bias, output]) => {
    const [batch, time, width] = x!.shape as [number, number, number];
    const rows = tf.reshape(x!, [batch * time, width]);
    const projected = tf.add(tf.matMul(rows as tf.Tensor2D, projection as tf.Tensor2D), bias!);
    const [q, k, v] = tf.split(projected, 3, 1).map(part => tf.reshape(part, [batch, time, width])) as [
      tf.Tensor3D,
      tf.Tensor3D,
      tf.Tensor3D,
    ];
    const scores = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(width)));
    const mixed = tf.reshape(tf.matMul(scores as tf.Tensor3D, v), [batch * time, width]);
    return tf.reshape(tf.matMul(mixed as tf.Tensor2D, output as tf.Tensor2D), [batch, time, width]);
  };
  const ATTENTION_WEIGHTS = [{ shape: [4, 12] }, { shape: [12] }, { shape: [4, 4] }];

  it('runs one graph forward, one for B and one for W', () => {
    const { binding } = tf.backend() as unknown as {
      binding: { runSavedModel: (...args: unknown[]) => unknown };
    };
    const { plain, traced } = makePair(attention, ATTENTION_WEIGHTS);
    const x = uniform([2, 3, 4], 1);
    disposePass(train(traced, [x]));
    const run = vi.spyOn(binding, 'runSavedModel');
    const pass = train(traced, [x], {}, () => expect(run).toHaveBeenCalledTimes(2));
    expect(run).toHaveBeenCalledTimes(3);
    vi.restoreAllMocks();
    disposePass(pass);
    tf.dispose(x);
    disposeWeights(plain, traced);
  });

  it('shares the graphs of layers that compute alike', () => {
    const { binding } = tf.backend() as unknown as { binding: { getNumOfSavedModels(): number } };
    const x = uniform([2, 5, 4], 1);
    const first = makePair(attention, ATTENTION_WEIGHTS);
    disposePass(train(first.traced, [x]));
    const loaded = binding.getNumOfSavedModels();
    const second = makePair(attention, ATTENTION_WEIGHTS);
    expectSamePass(train(second.traced, [x]), train(second.plain, [x]));
    expect(binding.getNumOfSavedModels()).toBe(loaded);
    tf.dispose(x);
    disposeWeights(first.plain, first.traced, second.plain, second.traced);
  });

  it('may leave inputs and weights without a gradient, and have weights that are not trained', () => {
    expectSame(
      ([x, other], [used, unused, frozen]) =>
        tf.mul(tf.mul(x!, used!), tf.mul(tf.cast(tf.greater(other!, unused!), 'float32'), frozen!)),
      [{ shape: [3] }, { shape: [3] }, { shape: [3], trainable: false }],
      [
        [2, 3],
        [2, 3],
      ],
    );
  });

  it('takes the same tensor twice', () => {
    const { plain, traced } = makePair(
      ([a, b], [w]) => tf.mul(tf.sub(tf.mul(a!, 2), b!), w!),
      [{ shape: [3] }],
    );
    const x = uniform([2, 3], 1);
    expectTensorsClose(train(traced, [x, x]).outputs, train(plain, [x, x]).outputs, 'output');
    disposeWeights(plain, traced);
  });

  it('takes a mask, and indices in place of numbers', () => {
    spyOnWarnings();
    const { plain, traced } = makePair(
      ([indices], [table], { mask }) => {
        const rows = tf.oneHot(tf.reshape(indices!, [6]), 5);
        const found = tf.reshape(
          tf.matMul(tf.cast(rows, 'float32') as tf.Tensor2D, table as tf.Tensor2D),
          [2, 3, 3],
        );
        const present = Array.isArray(mask) ? mask[0]! : mask!;
        return tf.mul(found, tf.expandDims(tf.cast(present, 'float32'), -1));
      },
      [{ shape: [5, 3] }],
    );
    const indices = tf.tensor2d(
      [
        [0, 4, 2],
        [1, 1, 3],
      ],
      undefined,
      'int32',
    );
    for (const values of [
      [
        [1, 0, 1],
        [1, 1, 0],
      ],
      [
        [0, 0, 1],
        [1, 0, 1],
      ],
    ]) {
      const mask = tf.tensor2d(values, undefined, 'bool');
      expectSamePass(train(traced, [indices], { mask }), train(plain, [indices], { mask }));
      expectSamePass(train(traced, [indices], { mask: [mask] }), train(plain, [indices], { mask: [mask] }));
    }
    expect(warnings).toEqual([]);
    disposeWeights(plain, traced);
  });

  it('is traced anew for other shapes, and outside training', () => {
    let calls = 0;
    const { plain, traced } = makePair(
      ([x], [w], { training }) => {
        calls += 1;
        return training === true ? tf.mul(x!, w!) : tf.add(x!, w!);
      },
      [{ shape: [3] }],
    );
    for (const rows of [2, 5, 2, 5]) {
      const x = uniform([rows, 3], rows);
      expectSamePass(train(traced, [x]), train(plain, [x]));
      const [actual, expected] = [traced, plain].map(
        layer => layer.call(x, { training: false }) as tf.Tensor,
      );
      expectTensorsClose([actual!], [expected!], 'prediction');
    }
    const callsOfPlain = 8;
    const seen = calls;
    const x = uniform([5, 3], 9);
    train(traced, [x]);
    expect(calls).toBe(seen);
    // Twice recorded, and once to see what comes out.
    expect(seen).toBe(callsOfPlain + 2 * 2 * 3);
    disposeWeights(plain, traced);
  });

  describe('is left as it is, with a warning,', () => {
    const refused: readonly (readonly [string, RegExp, () => Compute])[] = [
      [
        'if it draws random numbers',
        /not compute the same at every call/,
        () =>
          ([x]) =>
            tf.add(x!, tf.randomUniform(x!.shape)),
      ],
      [
        'if it counts its calls',
        /not compute the same at every call/,
        () => {
          let count = 0;
          return ([x]) => {
            count += 1;
            return tf.mul(x!, count);
          };
        },
      ],
      [
        'if it reads values',
        /reads values in the middle/,
        () =>
          ([x]) =>
            tf.mul(x!, tf.square(x!).dataSync()[0]!),
      ],
      [
        'if it keeps a tensor of its own',
        /a tensor that was not given to it/,
        () => {
          const own = tf.keep(tf.add(tf.scalar(1), 1));
          return ([x]) => tf.mul(x!, own);
        },
      ],
      [
        'if shapes depend on values',
        /'UniqueV2'.*another shape/,
        () =>
          ([x]) => {
            const { values } = tf.unique(tf.reshape(x!, [x!.size]));
            return tf.mul(x!, tf.max(values));
          },
      ],
    ];

    it.each(refused)('%s', (_, reason, makeCompute) => {
      spyOnWarnings();
      const { plain, traced } = makePair(makeCompute());
      const x = uniform([2, 3], 1);
      const before = tensorCount();
      const results = [1, 2].map(() => traced.call(x, { training: false }) as tf.Tensor);
      expect(results[0]!.shape).toEqual(x.shape);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(reason);
      expect(warnings[0]).toMatch(`Layer '${traced.name}' cannot be traced`);
      tf.dispose(results);
      expect(tensorCount()).toBe(before);
      disposeWeights(plain, traced);
    });

    it.each([true, false])(
      'if it changes its weights, which it then has changed once, training %s',
      training => {
        spyOnWarnings();
        let layer: Own | undefined;
        const compute: Compute = ([x], [state]) => {
          const before = tf.clone(state!);
          layer!.weights[0]!.write(tf.add(state!, 1));
          return tf.mul(x!, before);
        };
        const { traced } = makePair(compute, [{ shape: [3], trainable: false }]);
        layer = traced;
        traced.setWeights([tf.zeros([3])]);
        const x = tf.ones([2, 3]);
        for (const expected of [0, 1, 2]) {
          const result = traced.call(x, { training }) as tf.Tensor;
          expect([...new Set(result.dataSync())]).toEqual([expected]);
        }
        expect(warnings).toEqual([expect.stringMatching(/changes its weights/)]);
      },
    );

    it('if it has several outputs', () => {
      spyOnWarnings();
      const { plain, traced } = makePair(([x], [w]) => [tf.mul(x!, w!), tf.tanh(x!)], [{ shape: [3] }]);
      const x = uniform([2, 3], 1);
      expectSamePass(train(traced, [x]), train(plain, [x]));
      expect(warnings).toEqual([expect.stringMatching(/several outputs/)]);
    });

    it.each([
      ['dropout', () => tf.layers.dropout({ rate: 0.5 })],
      ['batch norm', () => tf.layers.batchNormalization()],
      ['a recurrent layer with a state', () => tf.layers.lstm({ units: 2, stateful: true })],
    ] as const)('if it has %s inside', (_, make) => {
      spyOnWarnings();
      const layer = new Own(([x]) => x!);
      layer.inner = make();
      traceLayers(layer, backend, ['Own']);
      expect(warnings).toEqual([expect.stringMatching(/keeps a state or draws random numbers/)]);
    });
  });

  it('is traced for so many shapes, and runs op by op for more', () => {
    spyOnWarnings();
    let calls = 0;
    const { plain, traced } = makePair(([x]) => {
      calls += 1;
      return tf.mul(x!, 2);
    });
    for (let rows = 1; rows <= MOST_TRACES + 1; rows++) {
      const x = uniform([rows], rows);
      expectSamePass(train(traced, [x]), train(plain, [x]));
    }
    for (const [rows, expected] of [
      [1, 0],
      [MOST_TRACES, 0],
      [MOST_TRACES + 1, 1],
    ] as const) {
      calls = 0;
      train(traced, [uniform([rows], rows)]);
      expect(calls).toBe(expected);
    }
    expect(warnings).toEqual([expect.stringMatching(/is traced for 16 shapes/)]);
  });

  it('is traced with gradients also where it is first called inside a gradient of the user’s own', () => {
    const { traced } = makePair(([x], [w]) => tf.mul(x!, w!), [{ shape: [3] }]);
    const x = uniform([2, 3], 1);
    const untouched = tf.customGrad(value => ({
      value: traced.call([value as tf.Tensor], { training: true }) as tf.Tensor,
      gradFunc: dy => tf.clone(dy),
    }));
    tf.grad(value => tf.sum(untouched(value)))(x);
    const { inputGradients, weightGradients } = train(traced, [x]);
    expect([...inputGradients, ...weightGradients].every(isTensor)).toBe(true);
  });

  it.each([
    // TensorFlow 2.15's graph optimizer gives it out transposed: on zeros nobody would notice, and of another shape it does not run.
    [3, CHANGED],
    [2, /does not run the graph/],
  ])('is checked on weights that tell something, and leaves them as they were: %i rows', (rows, warning) => {
    spyOnWarnings();
    const { plain, traced } = makePair(
      ([x], [w]) => {
        const slice = tf.slice(w!, [1, 0], [rows, 3]);
        return tf.mul(x!, tf.transpose(tf.reshape(tf.transpose(slice), [3, rows])));
      },
      [{ shape: [4, 3] }],
    );
    for (const layer of [plain, traced]) layer.setWeights([tf.zeros([4, 3])]);
    const x = uniform([rows, 3], 1);
    expectSamePass(train(traced, [x]), train(plain, [x]));
    expect(warnings).toEqual([expect.stringMatching(warning)]);
    expect(
      traced
        .getWeights()[0]!
        .dataSync()
        .every(value => value === 0),
    ).toBe(true);
  });

  it('takes indices that depend on what is trained', () => {
    spyOnWarnings();
    const { plain, traced } = makePair(
      ([indices], [w]) => tf.mul(tf.cast(tf.oneHot(indices!, 4), 'float32'), w!),
      [{ shape: [4] }],
    );
    const run = (layer: Own): (tf.Tensor | undefined)[] => {
      const trained = tf.variable(uniform([5, 4], 2));
      const { result, tape } = recordTape(() =>
        tf.keep(layer.call([tf.argMax(trained, 1)], { training: true }) as tf.Tensor),
      );
      const { inputGradients, deferred } = backwardInput({
        tape,
        samples: [trained],
        inputs: [trained],
        variables: layer.trainableWeights.map(weight => weight.read() as tf.Variable),
        seeds: new Map([[result.id, uniform([5, 4], 3)]]),
      });
      return [...inputGradients, ...deferred.compute()];
    };
    for (let pass = 0; pass < 2; pass++) {
      const [actual, expected] = [run(traced), run(plain)];
      expect(actual.map(isTensor)).toEqual(expected.map(isTensor));
      expectTensorsClose(actual.filter(isTensor), expected.filter(isTensor), 'gradient');
    }
    expect(warnings).toEqual([]);
  });

  it('throws what it throws', () => {
    const { traced } = makePair(() => {
      throw new TypeError('as it is');
    });
    expect(() => traced.call(tf.ones([2]), {})).toThrow(new TypeError('as it is'));
  });
});
