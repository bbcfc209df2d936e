/** Functions that run as TensorFlow graphs against the same functions run op by op. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { NotTraceableError } from '#internal/backends/index.js';
import { graphFunction, MOST_GRAPHS } from '#internal/backends/tensorflow/graph/index.js';
import { backends, useBackend } from '../../helpers/backends.js';
import { expectTensorsClose } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';

/** Operations of one or two matrices of the same shape, with attributes of every kind among them. */
const OPERATIONS: Readonly<Record<string, (a: tf.Tensor, b: tf.Tensor) => tf.Tensor>> = {
  add: (a, b) => tf.add(a, b),
  scale: a => tf.mul(a, 0.5),
  tanh: a => tf.tanh(a),
  product: (a, b) => tf.matMul(tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, false, true), b as tf.Tensor2D),
  clip: a => tf.clipByValue(a, -0.5, 0.5),
  leaky: a => tf.leakyRelu(a, 0.3),
  halves: a =>
    tf.concat(tf.split(tf.concat([a, a], 1), 2, 1).reverse(), 0).slice([0, 0], a.shape as [number, number]),
  transposed: a => tf.transpose(tf.reshape(tf.transpose(a), [a.shape[1]!, a.shape[0]!])),
  mean: a => tf.sub(a, tf.mean(a, 1, true)),
  chosen: (a, b) => tf.where(tf.greater(a, b), a, b),
  same: a => tf.clone(a),
};

const program = fc.array(
  fc.record({
    name: fc.constantFrom(...Object.keys(OPERATIONS)),
    a: fc.nat(),
    b: fc.nat(),
  }),
  { minLength: 1, maxLength: 12 },
);

type Program = readonly { readonly name: string; readonly a: number; readonly b: number }[];

/** All values that a program makes, from which later operations choose. */
function runProgram(inputs: readonly tf.Tensor[], steps: Program): tf.Tensor[] {
  const values = [...inputs];
  for (const { name, a, b } of steps) {
    values.push(OPERATIONS[name]!(values[a % values.length]!, values[b % values.length]!));
  }
  return values.slice(inputs.length);
}

function leftDirectories(): string[] {
  return readdirSync(tmpdir()).filter(name => name.startsWith('millrace-graph-'));
}

describe.runIf(backends().includes('tensorflow'))('a graph function', () => {
  // Of its own: others that run at the same time leave such directories for a moment.
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-graphs-'));
    vi.stubEnv('TMPDIR', directory);
    return useBackend('tensorflow');
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(directory, { recursive: true });
  });

  const asGraph = graphFunction<{ steps: Program }>('test-program', (inputs, { steps }) =>
    runProgram(inputs, steps),
  );

  it('computes what its operations compute one by one, and leaves nothing behind', () => {
    const size = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(program, size, size, (steps, rows, columns) => {
        const before = tf.memory().numTensors;
        tf.tidy(() => {
          const [a, b, c] = [1, 2, 3].map(seed => uniform([rows, columns], seed)) as [
            tf.Tensor,
            tf.Tensor,
            tf.Tensor,
          ];
          // The later calls compute with other numbers than were recorded, and one tensor may be given twice.
          for (const inputs of [
            [a, b],
            [c, a],
            [b, b],
          ]) {
            expectTensorsClose(asGraph(inputs, { steps }), runProgram(inputs, steps), 'value');
          }
        });
        expect(tf.memory().numTensors).toBe(before);
      }),
      {
        numRuns: 60,
        examples: [
          // What the graph optimizer of TensorFlow 2.15 breaks.
          [
            [
              { name: 'halves', a: 0, b: 0 },
              { name: 'transposed', a: 2, b: 0 },
            ],
            1,
            2,
          ],
        ],
      },
    );
    expect(leftDirectories()).toEqual([]);
  });

  it('may give numbers that it makes itself', () => {
    const f = graphFunction('test-made', ([a]) => [tf.zeros(a!.shape), tf.add(a!, 1)]);
    tf.tidy(() => {
      for (const value of [1, 2]) {
        expect(f([tf.fill([2], value)], {}).map(result => [...result.dataSync()])).toEqual([
          [0, 0],
          [value + 1, value + 1],
        ]);
      }
    });
  });

  it('gives the same bits at the first call as at all others', () => {
    const f = graphFunction('test-bits', ([a]) => [
      tf.softmax(tf.matMul(a as tf.Tensor2D, a as tf.Tensor2D)),
    ]);
    tf.tidy(() => {
      const a = uniform([7, 7], 5);
      const [first, second] = [f([a], {})[0]!, f([a], {})[0]!];
      expect([...first.dataSync()]).toEqual([...second.dataSync()]);
    });
  });

  it('makes a graph for each combination of shapes and settings, once', () => {
    let recordings = 0;
    const f = graphFunction<{ factor: number }>('test-count', ([a], { factor }) => {
      recordings += 1;
      return [tf.mul(a!, factor)];
    });
    tf.tidy(() => {
      for (const [shape, factor, expected] of [
        [[2], 3, 1],
        [[2], 3, 1],
        [[3], 3, 2],
        [[3], 4, 3],
        [[2], 4, 4],
        [[2], 3, 4],
      ] as const) {
        const result = f([tf.ones([...shape])], { factor })[0]!;
        expect([...result.dataSync()]).toEqual(Array(shape[0]).fill(factor));
        expect(recordings).toBe(expected);
      }
    });
  });

  it('keeps the graphs that were used last, and no more than it may', () => {
    const { binding } = tf.backend() as unknown as { binding: { getNumOfSavedModels(): number } };
    const f = graphFunction('test-shelf', ([a]) => [tf.square(a!)]);
    tf.tidy(() => {
      const call = (size: number): void => {
        expect([...f([tf.fill([size], 3)], {})[0]!.dataSync()]).toEqual(Array(size).fill(9));
      };
      for (let size = 1; size <= MOST_GRAPHS + 1; size++) {
        call(size);
        call(1);
      }
      expect(binding.getNumOfSavedModels()).toBe(MOST_GRAPHS);
      call(2);
      call(MOST_GRAPHS + 1);
      expect(binding.getNumOfSavedModels()).toBe(MOST_GRAPHS);
    });
  });

  it('records the operations of a graph function that is called inside', () => {
    const inner = graphFunction('test-inner', ([a]) => [tf.square(a!)]);
    const outer = graphFunction('test-outer', ([a]) => [tf.add(inner([a!], {})[0]!, 1)]);
    tf.tidy(() => {
      for (const value of [2, 3])
        expect(outer([tf.tensor1d([value])], {})[0]!.dataSync()[0]).toBe(value ** 2 + 1);
    });
  });

  it('refuses to read values in the middle, and tensors that it was not given', () => {
    const reading = graphFunction('test-reading', ([a]) => [tf.mul(a!, tf.square(a!).dataSync()[0]!)]);
    tf.tidy(() => {
      const before = tf.memory().numTensors;
      expect(() => reading([tf.scalar(3)], {})).toThrow(NotTraceableError);
      const foreign = tf.add(tf.scalar(1), 1);
      const closing = graphFunction('test-closing', ([a]) => [tf.add(a!, foreign)]);
      expect(() => closing([tf.scalar(3)], {})).toThrow(/a tensor that was not given to it/);
      // After a refusal ops run as ever, unrecorded.
      expect(tf.add(foreign, 1).dataSync()[0]).toBe(3);
      expect(tf.memory().numTensors).toBeGreaterThanOrEqual(before);
    });
    expect(leftDirectories()).toEqual([]);
  });

  it('is held against its operations on numbers that tell something, whatever its first inputs are', () => {
    // Broken by TensorFlow 2.15; on zeros nobody would notice.
    const f = graphFunction('test-telling', ([a]) => {
      const rows = tf.slice(a!, [1, 0], [2, 3]);
      return [tf.transpose(tf.reshape(tf.transpose(rows), [3, 2]))];
    });
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      tf.tidy(() => {
        f([tf.zeros([4, 3])], {});
        expect(warn.mock.calls.map(([text]) => text)).toEqual([
          expect.stringMatching(/graph optimizer changes what 'test-telling/),
        ]);
        const a = uniform([4, 3], 1);
        expectTensorsClose(f([a], {}), [tf.slice(a, [1, 0], [2, 3])], 'value');
      });
    } finally {
      warn.mockRestore();
    }
  });

  it('runs op by op where the optimizer’s graph does not run, and says why', () => {
    const f = graphFunction('test-broken', ([a]) => [tf.square(a!)]);
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    tf.tidy(() => {
      // A first graph, so that the binding is the one that graphs run on.
      graphFunction('test-whole', ([a]) => [tf.square(a!)])([tf.scalar(2)], {});
      const { binding } = tf.backend() as unknown as { binding: { runSavedModel(): unknown } };
      const run = vi.spyOn(binding, 'runSavedModel').mockImplementation(() => {
        throw new Error('Matrix size-incompatible');
      });
      try {
        for (const value of [3, 4]) expect(f([tf.scalar(value)], {})[0]!.dataSync()[0]).toBe(value ** 2);
        expect(run).toHaveBeenCalledTimes(1);
        expect(warn.mock.calls.map(([text]) => text)).toEqual([
          expect.stringMatching(
            /graph optimizer changes what 'test-broken.*does not run the graph: Matrix size-inc.*op by op/,
          ),
        ]);
      } finally {
        run.mockRestore();
        warn.mockRestore();
      }
    });
  });

  it('runs op by op where no graph can be written, and says so once', () => {
    const directory = process.env['TMPDIR'];
    process.env['TMPDIR'] = '/dev/null/nowhere';
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      tf.tidy(() => {
        for (const name of ['test-directory', 'test-other-directory']) {
          const f = graphFunction(name, ([a]) => [tf.square(a!)]);
          for (const value of [3, 4]) expect(f([tf.scalar(value)], {})[0]!.dataSync()[0]).toBe(value ** 2);
        }
      });
      expect(warn.mock.calls.map(([text]) => text)).toEqual([
        expect.stringMatching(/below \/dev\/null\/nowhere.*Set TMPDIR.*op by op/),
      ]);
    } finally {
      warn.mockRestore();
      if (directory === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = directory;
    }
  });
});
