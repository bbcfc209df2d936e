/** `millrace plan` as a user runs it, on the model that stands among the examples. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { fileSystem, type Plan } from 'millrace';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const example = fileURLToPath(new URL('../../examples/saved-model', import.meta.url));
const QUICK = ['--backend', 'cpu', '--workers', '2', '--batch-size', '4'];

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-plan-'));
});
afterAll(() => rm(directory, { recursive: true }));

function plan(...args: string[]) {
  const env = { ...process.env, MILLRACE_BACKEND: '' };
  return spawnSync(process.execPath, [main, 'plan', ...args], { encoding: 'utf8', env });
}

describe('millrace plan', () => {
  it('prints the plan, what it assumed, what it predicts and the schedule', () => {
    const { status, stdout, stderr } = plan(example, ...QUICK, '--micro-batches', '2');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^model {5}small-digits$/m);
    expect(stdout).toMatch(/^assumed {3}optimizer adam, since the model was saved without one$/m);
    expect(stdout).toMatch(/^assumed {3}loss categoricalCrossentropy, by the activation of the last layer$/m);
    expect(stdout).toMatch(/^backend {3}cpu /m);
    expect(stdout).toMatch(/^predicted [\d.,]+ ms a mini-batch of 4, \d+ % of the workers' time idle/m);
    expect(stdout).toMatch(/^ +1 +1 .*digit/m);
    expect(stdout).toMatch(/^worker 0 .*0F0.*0F1.*0B1/m);
    expect(stdout).toMatch(/^worker 1 .*1F0.*1B1/m);
  });

  it('simulates and lists all plans where none is asked for, and shows the best', () => {
    const { status, stdout, stderr } = plan(example, ...QUICK, '--no-cache');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^predicted /m);
    const rows = stdout.split('\n').filter(line => /^(→| ) +\d+ +\d+ +\d+ +\d+ /.test(line));
    // Two replicas, two stages, four stages under two schedules, one worker.
    expect(rows).toHaveLength(5);
    const times = rows.map(row => Number(/([\d.e+]+) +–$/.exec(row)![1]));
    expect(times).toEqual([...times].sort((one, other) => one - other));
    const chosen = rows.findIndex(row => row.startsWith('→'));
    expect(rows.filter(row => row.startsWith('→'))).toHaveLength(1);
    // Those with four stages count a tenth more, so one that is faster by less is not chosen.
    expect(times[chosen]).toBeLessThanOrEqual(1.1 * times[0]! + 0.1);
  });

  it('takes a number of replicas', () => {
    const { status, stdout } = plan(example, ...QUICK, '--replicas', '2');
    expect(status).toBe(0);
    expect(stdout).toMatch(/2 replicas with 1 micro-batch each, 2 workers/);
  });

  it('measures anew without the cache, and keeps nothing', async () => {
    const cache = join(directory, 'cache');
    const shown = (...args: string[]): string =>
      spawnSync(process.execPath, [main, 'plan', example, ...QUICK, '--stages', '2', ...args], {
        encoding: 'utf8',
        env: { ...process.env, XDG_CACHE_HOME: cache },
      }).stdout;
    expect(shown('--no-cache')).toMatch(/^predicted /m);
    await expect(readdir(cache)).rejects.toThrow('ENOENT');
    expect(shown()).toBe(shown());
  });

  it('prints the same as JSON, and writes the predicted timeline', async () => {
    const page = join(directory, 'plan.html');
    const { status, stdout } = plan(
      join(example, 'model.json'),
      ...QUICK,
      '--stages',
      '2',
      '--json',
      '--timeline',
      page,
    );
    expect(status).toBe(0);
    const printed = JSON.parse(stdout) as { model: string; assumptions: string[]; plan: Plan };
    expect(printed).toMatchObject({
      model: 'small-digits',
      assumptions: [expect.stringContaining('adam'), expect.stringContaining('categoricalCrossentropy')],
      plan: { backend: 'cpu', workers: 2, costs: { batchSize: 4 }, prediction: { rows: 4 } },
    });
    expect(printed.plan.stages).toHaveLength(2);
    const html = await readFile(page, 'utf8');
    expect(html).toContain('Nothing was trained');
    expect(html).toContain('small-digits');
  });

  it('keeps what the model was saved with, and takes what is asked for instead', async () => {
    await tf.setBackend('cpu');
    const model = tf.sequential({
      name: 'compiled',
      layers: [tf.layers.dense({ units: 2, inputShape: [3] })],
    });
    model.compile({ optimizer: 'sgd', loss: 'meanAbsoluteError' });
    const path = join(directory, 'compiled');
    await model.save(fileSystem(path), { includeOptimizer: true });
    const own = plan(path, '--backend', 'cpu', '--stages', '1');
    expect(own.stdout).not.toContain('assumed');
    expect(own.status).toBe(0);
    const other = plan(path, '--backend', 'cpu', '--stages', '1', '--optimizer', 'nesterov');
    expect(other.status).toBe(1);
    expect(other.stderr).toMatch(/^millrace: .*nesterov.*--optimizer/);
  });

  it.each([
    [['no-such-model'], "no-such-model': the path does not exist"],
    [[example, '--schedule', 'zigzag'], "Option 'schedule' takes 'auto'"],
    [[example, '--backend', 'gpu'], "Option 'backend' takes 'auto'"],
    [[example, '--stages', '9'], "Option 'stages' asks for 9 stages"],
    [[example, '--stages', '0'], 'whole number of at least 1'],
    [[example, ...QUICK, '--memory-limit', '1000'], "Option 'memoryLimit' is 1000 bytes a worker"],
    [[example, '--loss', 'guess'], 'Unknown loss guess'],
    [[example, '--setup', 'no-such-module.mjs'], 'no-such-module.mjs cannot be imported'],
    [[example, '--timeline', 'plan.svg'], 'ends in .html'],
    [[], "missing required argument 'model'"],
  ])('refuses %j with a word on it and no stack', (args, message) => {
    const { status, stdout, stderr } = plan(...args);
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });

  it('says what to do about a layer that it does not know', async () => {
    const path = join(directory, 'foreign.json');
    const model = JSON.parse(await readFile(join(example, 'model.json'), 'utf8'));
    model.modelTopology.config.layers[0].class_name = 'Foreign';
    delete model.weightsManifest;
    await writeFile(path, JSON.stringify(model));
    const { status, stderr } = plan(path);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^millrace: The model in '.*foreign\.json' cannot be built: .*Foreign.*--setup/s);
  });
});
