/** Recorded computations that run in other ops than those they were recorded in, against those. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Backend, loadBackend } from '#internal/backends/index.js';
import { graphBackend } from '#internal/backends/tensorflow/graph/graph.js';
import { backwardInput } from '#internal/stages/backward.js';
import { trace } from '#internal/stages/tracing/trace.js';
import { runTraced } from '#internal/stages/tracing/traced-kernel.js';
import { disposeTape, recordTape, withoutTape } from '#internal/tfjs/internals.js';
import { backends, HAS_KERNELS, useBackend } from '../../helpers/backends.js';
import { expectTensorsClose } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';

type Compute = (...given: tf.Tensor[]) => tf.Tensor;

/** How scores are scaled. */
const SCALES: Readonly<Record<string, (scores: tf.Tensor) => tf.Tensor>> = {
  multiplied: scores => tf.mul(scores, 0.3),
  'multiplied, number first': scores => tf.mul(0.3, scores),
  divided: scores => tf.div(scores, tf.scalar(2.5)),
  'by a negative number': scores => tf.mul(scores, -1.5),
  unscaled: scores => scores,
};

const byHead = (x: tf.Tensor): tf.Tensor => tf.transpose(x, [0, 2, 1, 3]);

/** [batch, time, heads, size], as everybody writes it. */
function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, scaled = SCALES['multiplied']!): tf.Tensor {
  const scores = tf.matMul(byHead(q), byHead(k), false, true);
  return byHead(tf.matMul(tf.softmax(scaled(scores)), byHead(v)));
}

describe.runIf(backends().includes('tensorflow'))('a computation in other ops', () => {
  let backend: Backend;

  beforeAll(async () => {
    await useBackend('tensorflow');
    backend = await loadBackend('tensorflow');
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    refused = undefined;
  });

  /** Of every graph that is loaded, by its session. */
  const texts = new Map<number, string>();
  /** Of those that run. */
  let ran: Set<string> | undefined;
  /** What no graph may have to be loaded, or to be run. */
  let refused: { readonly to: 'load' | 'run'; readonly op: string } | undefined;

  const refuse = (to: 'load' | 'run', text: string): void => {
    if (refused?.to === to && text.includes(refused.op)) throw new Error(`does not ${to}`);
  };

  beforeAll(() => {
    const { binding } = graphBackend();
    const { loadSavedModel, runSavedModel } = binding;
    Object.defineProperties(binding, {
      loadSavedModel: {
        configurable: true,
        value: (directory: string, tag: string): number => {
          const text = readFileSync(join(directory, 'saved_model.pb'), 'latin1');
          refuse('load', text);
          const session = loadSavedModel.call(binding, directory, tag);
          texts.set(session, text);
          return session;
        },
      },
      runSavedModel: {
        configurable: true,
        value: (session: number, ...rest: [readonly number[], string, string]) => {
          const text = texts.get(session)!;
          refuse('run', text);
          ran?.add(text);
          return runSavedModel.call(binding, session, ...rest);
        },
      },
    });
  });

  afterAll(() => {
    const { binding } = graphBackend();
    Reflect.deleteProperty(binding, 'loadSavedModel');
    Reflect.deleteProperty(binding, 'runSavedModel');
  });

  /**
   * Holds the graphs of a computation, recorded on other numbers, against its ops: its output and the gradients of all that it is given.
   *
   * @returns the graphs that ran, as TensorFlow reads them
   */
  function expectSame(
    compute: Compute,
    shapes: readonly number[][],
    { size = 1, trains = true } = {},
  ): string {
    return tf.tidy(() => {
      const [recorded, given] = [1, 2].map(seed =>
        shapes.map((shape, index) => tf.mul(uniform(shape, 10 * seed + index), size)),
      ) as [tf.Tensor[], tf.Tensor[]];
      const traced = trace(backend.fused!.recordParts!, {
        name: 'a computation',
        inputs: recorded,
        masks: [],
        weights: [],
        call: inputs => [compute(...inputs)],
        trains,
      })!;
      /** The output and the gradients, as a stage takes them. */
      const pass = (run: Compute): tf.Tensor[] => {
        if (!trains) return [withoutTape(() => run(...given))];
        const { result: y, tape } = recordTape(() => tf.keep(tf.clone(run(...given))));
        const seeds = new Map([[y.id, uniform(y.shape, 5)]]);
        const { inputGradients } = backwardInput({
          tape,
          samples: given,
          inputs: given,
          variables: [],
          seeds,
        });
        disposeTape(tape);
        return [y, ...inputGradients.map(gradient => gradient!)];
      };
      const graphs = new Set<string>();
      ran = graphs;
      const ofGraphs = pass((...inputs) => runTraced('tensorflow', traced, inputs, [], [])[0]!);
      ran = undefined;
      const ofOps = pass(compute);
      expectTensorsClose(ofGraphs, ofOps, 'graphs', 5e-5);
      tf.dispose([...ofGraphs, ...ofOps]);
      return [...graphs].join();
    });
  }

  describe.runIf(HAS_KERNELS)('of attention', () => {
    it('computes what its ops do, forward and backward, whatever its sizes and scale', () => {
      const size = (max: number) => fc.integer({ min: 1, max });
      fc.assert(
        fc.property(
          fc.constantFrom(...Object.keys(SCALES)),
          // With one key, all that is left of the gradients of scores is what was rounded off.
          fc.tuple(size(3), size(70), fc.integer({ min: 2, max: 70 }), size(3), size(40)),
          (scale, [batch, queries, keys, heads, width]) => {
            const ofKeys = [batch, keys, heads, width];
            const graphs = expectSame(
              (q, k, v) => attention(q!, k!, v!, SCALES[scale]),
              [[batch, queries, heads, width], ofKeys, ofKeys],
            );
            expect(graphs).not.toContain('BatchMatMul');
            expect(graphs).toContain('MillraceAttentionGradient');
          },
        ),
        { numRuns: 30 },
      );
    });

    it('bears scores far beyond what an exponential does', () => {
      // All that is left of the gradients is what was rounded off.
      const shape = [1, 9, 2, 20];
      const graphs = expectSame((q, k, v) => attention(q!, k!, v!), [shape, shape, shape], {
        size: 30,
        trains: false,
      });
      expect(graphs).toContain('MillraceAttention');
    });

    it('gives probabilities of zero where TensorFlow does', () => {
      const shape = [1, 9, 2, 20];
      const compute: Compute = (q, k, v) => {
        const probabilities = tf.softmax(tf.matMul(byHead(q!), byHead(k!), false, true));
        const mixed = byHead(tf.matMul(probabilities, byHead(v!)));
        return tf.add(tf.sum(tf.cast(tf.equal(probabilities, 0), 'float32')), tf.mul(mixed, 1e-3));
      };
      const graphs = expectSame(compute, [shape, shape, shape], { size: 100, trains: false });
      expect(graphs).toContain('MillraceAttention');
    });

    it('passes on what is no number, and what is not finite', () => {
      const shape = [2, 9, 2, 20];
      const compute: Compute = (q, k, v) => attention(tf.div(q!, tf.relu(q!)), k!, v!);
      expect(expectSame(compute, [shape, shape, shape], { trains: false })).toContain('MillraceAttention');
    });

    it.each(['load', 'run'] as const)('goes back to what was recorded where that does not %s', to => {
      const warning = vi.spyOn(process, 'emitWarning');
      refused = { to, op: 'MillraceAttention' };
      const shape = to === 'load' ? [1, 7, 2, 9] : [1, 7, 2, 10];
      const graphs = expectSame((q, k, v) => attention(q!, k!, v!), [shape, shape, shape]);
      expect(graphs).toContain('Softmax');
      expect(graphs).not.toContain('MillraceAttention');
      expect(warning).not.toHaveBeenCalled();
    });

    it("fuses one of two attentions whose values are made of the other one's scores", () => {
      const compute: Compute = (q, k, r, v) => {
        const [first, second] = [q!, r!].map(queries =>
          tf.softmax(tf.matMul(byHead(queries), byHead(k!), false, true)),
        ) as [tf.Tensor, tf.Tensor];
        const [a, b] = [second, first].map(scores => byHead(tf.mul(v!, tf.mean(scores))));
        return tf.sub(byHead(tf.matMul(first, a!)), byHead(tf.matMul(second, b!)));
      };
      const shape = [2, 6, 2, 5];
      const graphs = expectSame(compute, [shape, shape, shape, shape], { trains: false });
      expect(graphs).toContain('Softmax');
      expect(graphs).toContain('MillraceAttention');
    });

    it('finds it where one tensor is queries, keys and values', () => {
      const graphs = expectSame(x => attention(x!, x!, x!), [[2, 5, 3, 8]]);
      expect(graphs).toContain('MillraceAttentionGradient');
    });

    it('keeps the ops that others read', () => {
      const compute: Compute = (q, k, v) => {
        const scores = tf.softmax(tf.matMul(byHead(q!), byHead(k!), false, true));
        const mixed = byHead(tf.matMul(scores, byHead(v!)));
        return tf.add(tf.mul(mixed, tf.sum(scores)), tf.mean(byHead(q!)));
      };
      const shape = [2, 5, 3, 8];
      expect(expectSame(compute, [shape, shape, shape])).toContain('MillraceAttention');
    });

    it.each<[string, Compute]>([
      [
        'scores are masked',
        (q, k, v) => {
          const scores = tf.matMul(byHead(q!), byHead(k!), false, true);
          const masked = tf.sub(scores, tf.reshape(tf.linspace(-9, 9, 25), [5, 5]));
          return byHead(tf.matMul(tf.softmax(masked), byHead(v!)));
        },
      ],
      [
        'axes are swapped otherwise',
        (q, k, v) => {
          const other = (x: tf.Tensor): tf.Tensor => tf.transpose(x, [2, 0, 1, 3]);
          return byHead(tf.matMul(tf.softmax(tf.matMul(other(q!), other(k!), false, true)), other(v!)));
        },
      ],
      [
        'probabilities are transposed',
        (q, k, v) =>
          byHead(tf.matMul(tf.softmax(tf.matMul(byHead(q!), byHead(k!), false, true)), byHead(v!), true)),
      ],
      [
        'values are made of probabilities',
        (q, k, v) => {
          const probabilities = tf.softmax(tf.matMul(byHead(q!), byHead(k!), false, true));
          return byHead(tf.matMul(probabilities, byHead(tf.mul(v!, tf.mean(probabilities)))));
        },
      ],
    ])('leaves it alone where %s', (_, compute) => {
      const shape = [2, 5, 3, 8];
      const graphs = expectSame(compute, [shape, shape, shape]);
      expect(graphs).toContain('Softmax');
      expect(graphs).not.toContain('MillraceAttention');
    });

    it('leaves many keys to TensorFlow', () => {
      const keys = [1, 513, 1, 4];
      const graphs = expectSame((q, k, v) => attention(q!, k!, v!), [[1, 3, 1, 4], keys, keys]);
      expect(graphs).toContain('Softmax');
      expect(graphs).not.toContain('MillraceAttention');
    });

    it('tells attentions with the same scores apart', () => {
      const compute: Compute = (q, k, v, w) => {
        const probabilities = tf.softmax(tf.matMul(byHead(q!), byHead(k!), false, true));
        const mixed = [v!, w!].map(values => byHead(tf.matMul(probabilities, byHead(values))));
        return tf.add(tf.sub(mixed[0]!, tf.mul(mixed[1]!, 2)), attention(q!, k!, w!));
      };
      const shape = [2, 6, 2, 7];
      expect(expectSame(compute, [shape, shape, shape, shape])).toContain('MillraceAttention');
    });

    it('leaves it alone where values are of another size', () => {
      const [keys, values] = [
        [2, 5, 3, 8],
        [2, 5, 3, 4],
      ];
      const graphs = expectSame((q, k, v) => attention(q!, k!, v!), [keys!, keys!, values!]);
      expect(graphs).toContain('Softmax');
      expect(graphs).not.toContain('MillraceAttention');
    });

    it('is left in ops of TensorFlow without ops of its own', () => {
      vi.stubEnv('MILLRACE_KERNELS', '0');
      const shape = [2, 6, 3, 8];
      const graphs = expectSame((q, k, v) => attention(q!, k!, v!), [shape, shape, shape]);
      expect(graphs).toContain('Softmax');
      expect(graphs).not.toContain('Millrace');
    });
  });

  describe('of a product and a bias', () => {
    const BIAS_ADD = /BiasAdd(?!Grad)/;
    // Of other sizes each: graphs that are alike are loaded once.
    it.each<[string, Compute, number, number[]]>([
      ['behind it', (a, b, c) => tf.add(tf.matMul(a!, b!), c!), 4, [4]],
      ['before it', (a, b, c) => tf.add(c!, tf.matMul(a!, b!)), 3, [3]],
      ['of one number', (a, b, c) => tf.add(tf.matMul(a!, b!), c!), 1, [1]],
      ['read by another too', (a, b, c) => tf.mul(tf.add(tf.matMul(a!, b!), c!), tf.matMul(a!, b!)), 2, [2]],
    ])('adds it in the product, %s', (_, compute, columns, bias) => {
      expect(expectSame(compute, [[6, 5], [5, columns], bias])).toMatch(BIAS_ADD);
    });

    it.each<[string, number[]]>([
      ['a row of a matrix', [1, 4]],
      ['one number for all columns', [1]],
      ['a number for each row', [6, 1]],
    ])('leaves %s alone', (_, bias) => {
      const graphs = expectSame((a, b, c) => tf.add(tf.matMul(a!, b!), c!), [[6, 5], [5, 4], bias]);
      expect(graphs).toContain('BatchMatMul');
      expect(graphs).not.toMatch(BIAS_ADD);
    });

    it('keeps the bias of a product over nothing', () => {
      const graphs = expectSame((a, b, c) => tf.add(tf.matMul(a!, b!), c!), [[6, 0], [0, 4], [4]], {
        trains: false,
      });
      expect(graphs).toContain('BatchMatMul');
      expect(graphs).not.toMatch(BIAS_ADD);
    });

    it('transposes the first matrix', () => {
      const graphs = expectSame((a, b, c) => tf.add(tf.matMul(a!, b!, true), c!), [[5, 7], [5, 4], [4]]);
      expect(graphs).toMatch(BIAS_ADD);
    });

    it('leaves products of transposed matrices to oneDNN', () => {
      const graphs = expectSame(
        (a, b, c) => tf.add(tf.matMul(a!, b!, false, true), c!),
        [[6, 5], [4, 5], [4]],
      );
      expect(graphs).toContain('BatchMatMul');
      expect(graphs).not.toMatch(BIAS_ADD);
    });
  });

  describe('of sums', () => {
    it.each<[string, Compute, number[]]>([
      ['rows of a matrix', a => tf.sum(a!, 0), [9, 5]],
      ['all axes but the last', a => tf.sum(a!, [0, 1]), [3, 4, 5]],
      ['a row', a => tf.sum(a!, 0), [1, 5]],
      ['a column', a => tf.sum(a!, 0), [9, 1]],
      ['no rows', a => tf.sum(a!, 0), [0, 5]],
    ])('adds up %s as the gradient of a bias', (_, compute, shape) => {
      const graphs = expectSame(compute, [shape]);
      expect(graphs).toContain('BiasAddGrad');
      expect(graphs).not.toContain('Sum');
    });

    it.each<[string, Compute, number[]]>([
      ['columns', a => tf.sum(a!, 1), [9, 5]],
      ['an axis in the middle', a => tf.sum(a!, 1), [3, 4, 5]],
      ['rows with their axis', a => tf.sum(a!, 0, true), [9, 5]],
      ['a vector', a => tf.sum(a!, 0), [9]],
    ])('adds up %s as ever', (_, compute, shape) => {
      expect(expectSame(compute, [shape])).toContain('Sum');
    });
  });
});
