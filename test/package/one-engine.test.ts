/** One program, one engine: tfjs, tfjs-node and Millrace in any order and by any way; a second tfjs is refused by name. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backends } from '../helpers/backends.js';
import { expectClose } from '../helpers/compare.js';
import { makeSecondCopy, type SecondCopy } from './second-copy.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MIXED = fileURLToPath(new URL('fixtures/mixed-imports.mjs', import.meta.url));
const OWN_TFJS = join(ROOT, 'node_modules', '@tensorflow', 'tfjs-layers');

/** Threads as a user's shell has them: those of the tests are set by Millrace itself. */
async function node(
  args: readonly string[],
  threads: Readonly<Record<string, string>> = {},
): Promise<string> {
  const env = { ...process.env };
  delete env['TF_NUM_INTRAOP_THREADS'];
  delete env['TF_NUM_INTEROP_THREADS'];
  Object.assign(env, threads);
  return (await run(process.execPath, args, { env, timeout: 110_000 })).stdout;
}

type Load = 'tfjs' | 'node' | 'millrace' | 'train';
type Order = readonly (readonly [what: Load, way?: 'import' | 'require'])[];

interface Outcome {
  readonly isOne: boolean;
  readonly mainBackend: string;
  readonly warnings: readonly string[];
  readonly expected: readonly number[];
  readonly actual: readonly number[];
}

async function outcomeOf(
  order: Order,
  backend: string,
  threads?: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const lines = (await node([MIXED, JSON.stringify(order), backend], threads)).trim().split('\n');
  return JSON.parse(lines.at(-1)!) as Outcome;
}

function expectSameTraining({ isOne, expected, actual }: Outcome): void {
  expect(isOne).toBe(true);
  expectClose(actual, expected, 'loss');
}

describe.runIf(backends().includes('tensorflow'))('tfjs and tfjs-node in one program', () => {
  /** All orders, and every package in both ways. */
  const orders: readonly Order[] = [
    [
      ['tfjs', 'import'],
      ['node', 'import'],
      ['millrace', 'import'],
    ],
    [
      ['tfjs', 'require'],
      ['millrace', 'require'],
      ['node', 'require'],
    ],
    [
      ['node', 'import'],
      ['tfjs', 'require'],
      ['millrace', 'import'],
    ],
    [
      ['node', 'require'],
      ['millrace', 'import'],
      ['tfjs', 'import'],
    ],
    [
      ['millrace', 'require'],
      ['tfjs', 'import'],
      ['node', 'import'],
    ],
    [
      ['millrace', 'import'],
      ['node', 'require'],
      ['tfjs', 'require'],
    ],
    // tfjs-node offers all of tfjs, so many programs name it alone.
    [
      ['node', 'import'],
      ['millrace', 'import'],
    ],
  ];

  it.each(orders.map(order => [order.map(load => load.join(' ')).join(', '), order] as const))(
    'are one engine: %s',
    async (_, order) => {
      const outcome = await outcomeOf(order, 'tensorflow');
      expectSameTraining(outcome);
      expect(outcome.mainBackend).toBe('tensorflow');
      expect(outcome.warnings).toEqual([expect.stringMatching(/loaded @tensorflow\/tfjs-node before/)]);
      expect(outcome.warnings[0]).toContain('import @tensorflow/tfjs in its place');
      expect(outcome.warnings[0]).toContain('TF_NUM_INTRAOP_THREADS=1');
    },
  );

  const nodeFirst: Order = [['node', 'import'], ['millrace', 'import'], ['train']];

  it('are no reason for a warning where the environment asks for one thread', async () => {
    const outcome = await outcomeOf(nodeFirst, 'tensorflow', {
      TF_NUM_INTRAOP_THREADS: '1',
      TF_NUM_INTEROP_THREADS: '-1',
    });
    expectSameTraining(outcome);
    expect(outcome.warnings).toEqual([]);
  });

  it('are no reason for a warning to workers on another backend', async () => {
    const outcome = await outcomeOf(nodeFirst, 'wasm');
    expectSameTraining(outcome);
    expect(outcome.warnings).toEqual([]);
  });

  it('are no reason for a warning where tfjs-node comes after the first pipeline()', async () => {
    const order: Order = [['tfjs', 'import'], ['millrace', 'import'], ['train'], ['node', 'import']];
    const outcome = await outcomeOf(order, 'tensorflow');
    expectSameTraining(outcome);
    expect(outcome).toMatchObject({ mainBackend: 'cpu', warnings: [] });
  });
});

describe('without tfjs-node', () => {
  it.each([
    [['tfjs', 'import'] as const, ['millrace', 'require'] as const],
    [['millrace', 'import'] as const, ['tfjs', 'require'] as const],
  ])('ESM and CommonJS mixed are one engine: %s, %s', async (...order) => {
    const outcome = await outcomeOf(order, 'cpu');
    expectSameTraining(outcome);
    expect(outcome.mainBackend).toBe('cpu');
  });
});

describe('a second copy of tfjs', () => {
  let copy: SecondCopy;
  beforeAll(async () => {
    copy = await makeSecondCopy('4.21.99');
  });
  afterAll(() => copy?.remove());

  /** Both, with their versions, so that nobody has to search. */
  function expectBothNamed(output: string): void {
    expect(output).toContain(`${OWN_TFJS} (4.22.0)`);
    expect(output).toContain(`${join(copy.root, 'node_modules', '@tensorflow', 'tfjs-layers')} (4.21.99)`);
  }

  it.each(['import', 'require'])('is refused when the model is its own (%s)', async way => {
    const load = (name: string) =>
      way === 'import' ? `await import('${name}')` : `createRequire(import.meta.url)('${name}')`;
    const program = await copy.write(
      `model-${way}.mjs`,
      `import { createRequire } from 'node:module';
       const tf = ${load('@tensorflow/tfjs')};
       const { ModelError, pipeline } = ${load('millrace')};
       const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2] })] });
       model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
       const error = await pipeline(model, { backend: 'cpu' }).catch(error => error);
       console.log(error instanceof ModelError, error.message);`,
    );
    const output = await node([program]);
    expect(output).toMatch(/^true The model is a Sequential of another copy of TensorFlow\.js/m);
    expectBothNamed(output);
    expect(output).toContain('npm ls @tensorflow/tfjs-layers');
  });

  it('is refused when a callback is its own', async () => {
    const program = await copy.write(
      'callback.mjs',
      `import { createRequire } from 'node:module';
       import * as other from '@tensorflow/tfjs';
       import { ConfigurationError, pipeline } from 'millrace';
       const tf = createRequire(${JSON.stringify(join(ROOT, 'package.json'))})('@tensorflow/tfjs');
       const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2] })] });
       model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
       const trainer = await pipeline(model, { backend: 'cpu', workers: 1 });
       const callbacks = other.callbacks.earlyStopping({ monitor: 'loss' });
       const fit = args => trainer.fit(tf.ones([4, 2]), tf.ones([4, 1]), { verbose: 0, ...args });
       const error = await fit({ callbacks }).catch(error => error);
       console.log(error instanceof ConfigurationError, error.path, error.message);
       console.log('then', (await fit({})).epoch);
       await trainer.close();`,
    );
    const output = await node([program]);
    expect(output).toMatch(
      /^true callbacks A callback is a EarlyStopping of another copy of TensorFlow\.js/m,
    );
    expectBothNamed(output);
    expect(output).toMatch(/^then \[ 0 \]$/m);
  });
});
