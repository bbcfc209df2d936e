/** Millrace's own ops in TensorFlow against TensorFlow's: lengths that fill no vector, values at the ends of their ranges, and NaN. */
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadBackend } from '#internal/backends/index.js';
import { fusedOperations as operations } from '#internal/backends/tensorflow/fused/index.js';
import { hasKernels, instructionSet } from '#internal/backends/tensorflow/index.js';
import { openKernels } from '#internal/backends/tensorflow/kernels.js';
import { rawOps } from '#internal/backends/tensorflow/raw-ops.js';
import { findCompiler } from '#internal/setup/build/compiler.js';
import { backends, HAS_KERNELS, useBackend } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { uniform } from '../helpers/data.js';
import { opsOf } from './fused/ops-of.js';

const width = fc.integer({ min: 1, max: 70 });
const seed = fc.integer({ min: 1, max: 10_000 });

type Settings = Parameters<typeof operations.lstm>[2];

const PARTS = { lstm: 4, gru: 3 } as const;

/** A loss, the output, and the gradients of x, K, R and b. */
function recurrent(
  kind: keyof typeof PARTS,
  scale: number,
  [batch, steps, inputs, units]: readonly [number, number, number, number],
  settings: Settings,
  from: number,
): tf.Tensor[] {
  const columns = PARTS[kind] * units;
  const given = [
    tf.mul(uniform([batch, steps, inputs], from), scale),
    uniform([inputs, columns], from + 1),
    uniform([units, columns], from + 2),
    uniform([columns], from + 3),
  ];
  const output = (...tensors: tf.Tensor[]): tf.Tensor => {
    const [x, kernel, recurrentKernel, bias] = tensors as [
      tf.Tensor3D,
      tf.Tensor2D,
      tf.Tensor2D,
      tf.Tensor1D,
    ];
    return operations[kind](x, { kernel, recurrentKernel, bias }, settings);
  };
  const { value, grads } = tf.valueAndGrads((...tensors) => tf.sum(tf.square(output(...tensors))))(given);
  return [value, output(...given), ...grads];
}

/** What `run` gives with the ops, held against what it gives without. */
function expectSameWithout(run: () => tf.Tensor[]): void {
  tf.tidy(() => {
    const own = run();
    vi.stubEnv('MILLRACE_KERNELS', '0');
    const ofOps = run();
    vi.stubEnv('MILLRACE_KERNELS', '');
    expectTensorsClose(own, ofOps, 'own ops', 1e-4);
  });
}

describe.runIf(HAS_KERNELS && backends().includes('tensorflow'))('an op of our own', () => {
  beforeAll(() => useBackend('tensorflow'));
  afterEach(() => void vi.unstubAllEnvs());

  it('is there, and not with MILLRACE_KERNELS=0', () => {
    expect(hasKernels()).toBe(true);
    vi.stubEnv('MILLRACE_KERNELS', '0');
    expect(hasKernels()).toBe(false);
  });

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'runs on what the processor has, and no more than it is allowed to',
    () => {
      const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))![1]!.split(' '));
      const has = (...names: string[]): boolean => names.every(name => flags.has(name));
      const hasAvx2 = has('avx2', 'fma');
      const hasAvx512 = hasAvx2 && has('avx512f', 'avx512bw', 'avx512dq', 'avx512vl');
      const best = hasAvx512 ? 2 : hasAvx2 ? 1 : 0;
      const sets = ['baseline', 'avx2', 'avx512'];
      const allowed = sets.indexOf(process.env['MILLRACE_INSTRUCTION_SET'] || 'avx512');
      expect(instructionSet()).toBe(sets[Math.min(best, allowed)]);
    },
  );

  it('refuses an instruction set that it does not know', () => {
    vi.stubEnv('MILLRACE_INSTRUCTION_SET', 'sse9');
    expect(openKernels).toThrow(
      expect.objectContaining({ name: 'ConfigurationError', path: 'MILLRACE_INSTRUCTION_SET' }),
    );
  });

  it.each([
    ['lstm', 'sigmoid'],
    ['lstm', 'hardSigmoid'],
    ['gru', 'sigmoid'],
    ['gru', 'hardSigmoid'],
  ] as const)('steps a %s with %s gates through time, at any magnitude', (kind, gate) => {
    const cases = fc.record({
      shape: fc.tuple(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 5 }),
        width,
      ),
      scale: fc.constantFrom(1e-3, 1, 5, 100),
      activation: fc.constantFrom('tanh', 'sigmoid', 'relu', 'linear') as fc.Arbitrary<
        Settings['activation']
      >,
      returnSequences: fc.boolean(),
      goBackwards: fc.boolean(),
      seed,
    });
    fc.assert(
      fc.property(cases, ({ shape, scale, seed, activation, ...rest }) => {
        // Unbounded states square the magnitude at each step.
        const bounded = activation === 'tanh' || activation === 'sigmoid' ? scale : 1;
        // Slopes of gates that are all but shut are differences of numbers that are all but the same.
        const count = bounded > 5 ? 2 : undefined;
        expectSameWithout(() =>
          recurrent(kind, bounded, shape, { gate, activation, ...rest }, seed).slice(0, count),
        );
      }),
      { numRuns: 40 },
    );
  });

  it('normalises rows of any width, far from zero too', () => {
    const cases = fc.record({
      rows: fc.integer({ min: 1, max: 200 }),
      width,
      offset: fc.constantFrom(0, 3),
      seed,
    });
    fc.assert(
      fc.property(cases, ({ rows, width, offset, seed }) => {
        expectSameWithout(() => {
          const inputs = [
            tf.add(uniform([rows, width], seed), offset),
            uniform([width], seed + 1),
            uniform([width], seed + 2),
          ];
          const loss = (x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor): tf.Tensor => {
            const y = operations.layerNorm(x, gamma, beta, 1e-3);
            return tf.sum(tf.mul(y, tf.add(y, uniform([rows, width], seed + 3))));
          };
          const { value, grads } = tf.valueAndGrads(loss as (...given: tf.Tensor[]) => tf.Tensor)(inputs);
          return [value, ...grads];
        });
      }),
      { numRuns: 40 },
    );
  });

  it('gives the gradient of a softmax', () => {
    fc.assert(
      fc.property(
        fc.record({ rows: fc.integer({ min: 1, max: 20 }), width, seed }),
        ({ rows, width, seed }) => {
          tf.tidy(() => {
            const [y, dy] = [tf.softmax(uniform([rows, width], seed)), uniform([rows, width], seed + 1)];
            const expected = tf.mul(tf.sub(dy, tf.sum(tf.mul(dy, y), -1, true)), y);
            expectTensorsClose(
              rawOps().many('MillraceSoftmaxGradient', [], [y, dy], 1),
              [expected],
              'gradient',
            );
          });
        },
      ),
    );
  });

  it('gives it to layers that are not lowered, too, on its backend alone', async () => {
    await loadBackend('tensorflow');
    const gradient = tf.grad(x => tf.square(tf.softmax(x)));
    tf.tidy(() => {
      const x = uniform([3, 5], 1);
      const [ops, own] = opsOf(() => gradient(x));
      expect(ops).toContain('MillraceSoftmaxGradient');
      vi.stubEnv('MILLRACE_KERNELS', '0');
      const [without, ofOps] = opsOf(() => gradient(x));
      expect(without).not.toContain('MillraceSoftmaxGradient');
      expectTensorsClose([own], [ofOps], 'gradient');
    });
    await useBackend('cpu');
    const onCpu = gradient(uniform([3, 5], 1));
    await useBackend('tensorflow');
    expect(onCpu.shape).toEqual([3, 5]);
    onCpu.dispose();
  });

  it('can be differentiated once more where a softmax is', () => {
    tf.tidy(() => {
      const second = tf.grad(x => tf.sum(tf.square(tf.grad(z => tf.sum(tf.square(tf.softmax(z))))(x))));
      const x = uniform([3, 5], 1);
      const own = second(x);
      vi.stubEnv('MILLRACE_KERNELS', '0');
      expectTensorsClose([own], [second(x)], 'second derivative');
    });
  });

  it('passes NaN on, so that training is seen to diverge', () => {
    tf.tidy(() => {
      for (const [kind, parts] of Object.entries(PARTS) as [keyof typeof PARTS, number][]) {
        const columns = 3 * parts;
        const weights = {
          kernel: tf.ones([2, columns]),
          recurrentKernel: tf.ones([3, columns]),
          bias: tf.zeros([columns]),
        };
        for (const gate of ['sigmoid', 'hardSigmoid'] as const) {
          for (const activation of ['tanh', 'sigmoid', 'relu', 'linear'] as const) {
            const settings = { gate, activation, returnSequences: false, goBackwards: false };
            const x = tf.fill([1, 2, 2], Number.NaN) as tf.Tensor3D;
            const y = operations[kind](x, weights, settings);
            expect([...y.dataSync()], `${kind} ${gate} ${activation}`).toEqual([
              Number.NaN,
              Number.NaN,
              Number.NaN,
            ]);
          }
        }
      }
      const normalised = operations.layerNorm(
        tf.tensor2d([[1, Number.NaN]]),
        tf.ones([2]),
        tf.zeros([2]),
        1e-3,
      );
      expect([...normalised.dataSync()]).toEqual([Number.NaN, Number.NaN]);
    });
  });
});

const isAsked =
  process.platform === 'linux' &&
  backends().includes('tensorflow') &&
  process.env['MILLRACE_KERNELS'] !== '0';

it.runIf(isAsked)('are compiled wherever there is a compiler', async () => {
  const compiler = await findCompiler(process.env).catch(() => undefined);
  expect(HAS_KERNELS).toBe(compiler !== undefined);
});
