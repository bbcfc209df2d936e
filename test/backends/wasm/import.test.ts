/** What importing Millrace does for plain models on wasm, in each order of the imports: a process of its own for each. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { expectClose } from '../../helpers/compare.js';

const MILLRACE = "await import('millrace');";
const WASM = "await import('@tensorflow/tfjs-backend-wasm');";
const START = "await tf.setBackend('wasm');";

/** A convolution, which the backend lacks a gradient kernel for, below a pooling of negative numbers, which it gets wrong. */
const TRAIN = `
  const train = async () => {
    const model = tf.sequential({ layers: [
      tf.layers.conv2d({ inputShape: [6, 6, 2], filters: 3, kernelSize: 3,
        kernelInitializer: tf.initializers.randomUniform({ minval: -1, maxval: 0, seed: 1 }) }),
      tf.layers.maxPooling2d({ poolSize: 2 }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 2, kernelInitializer: tf.initializers.glorotNormal({ seed: 2 }) }),
    ] });
    model.compile({ optimizer: tf.train.sgd(0.01), loss: 'meanSquaredError' });
    const x = tf.randomUniform([4, 6, 6, 2], 0, 1, 'float32', 3);
    const { history } = await model.fit(x, tf.ones([4, 2]), { epochs: 3, shuffle: false, verbose: 0 });
    return history.loss;
  };
  const backends = [tf.getBackend()];
  const wasm = await train();
  await tf.setBackend('cpu');
  console.log(JSON.stringify({ backends, wasm, cpu: await train() }));
`;

async function run(script: string): Promise<{ stderr: string; result: Record<string, number[]> }> {
  const program = `import * as tf from '@tensorflow/tfjs'; ${script}`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    program,
  ]);
  return { stderr, result: JSON.parse(stdout.trim().split('\n').at(-1)!) };
}

describe('import of millrace', () => {
  it.each([
    ['before the backend', [MILLRACE, WASM, START]],
    ['after the backend', [WASM, MILLRACE, START]],
    ['after the backend has started', [WASM, START, MILLRACE]],
    // The default of a program that imports the backend.
    ['before the backend, which is never asked for by name', [MILLRACE, WASM, 'await tf.ready();']],
  ])('lets a plain model train on wasm as on cpu: %s', async (_, order) => {
    const { result, stderr } = await run(order.join('\n') + TRAIN);
    expect(stderr).not.toContain('already registered');
    expect(result['backends']).toEqual(['wasm']);
    expect(result['wasm']).toHaveLength(3);
    expectClose(result['wasm']!, result['cpu']!, 'losses');
  });

  it('leaves the default backend as it was', async () => {
    const script = `${MILLRACE} await tf.ready(); console.log(JSON.stringify([tf.getBackend()]));`;
    expect((await run(script)).result).toEqual(['cpu']);
  });
});
