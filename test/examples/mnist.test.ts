/** The example as a user runs it, with few digits and one epoch: that it works and writes what it says. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backends } from '../helpers/backends.js';

const script = fileURLToPath(new URL('../../examples/01-mnist/train.mjs', import.meta.url));
const TIMEOUT_MS = 180_000;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-mnist-'));
});
afterAll(() => rm(directory, { recursive: true }));

function train(args: readonly string[]) {
  const env = { ...process.env, MILLRACE_BACKEND: '' };
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', env, timeout: TIMEOUT_MS });
}

describe('the MNIST example', () => {
  it.each(backends())('trains on %s and writes its results', { timeout: TIMEOUT_MS }, async backend => {
    const json = join(directory, `${backend}.json`);
    const timeline = join(directory, `${backend}.html`);
    const { status, stdout, stderr } = train([
      ...['--backend', backend, '--samples', '10', '--batch-size', '4', '--epochs', '1', '--stages', '2'],
      ...['--plain-seconds', '1', '--json', json, '--timeline', timeline],
    ]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain('8 digits to train on, 2 held back for the test');
    expect(stdout).toMatch(new RegExp(`^backend {3}${backend} \\d`, 'm'));
    expect(stdout).toMatch(/^epoch 1\/1 \| loss [\d.]+ \| accuracy [\d.]+ \| [\d,]+ samples\/s \| \d+ s$/m);
    expect(stdout).toMatch(/^(Millrace was [\d.]+ times as fast as plain fit|Plain fit was faster)/m);
    expect(await readFile(timeline, 'utf8')).toContain('<title>Timeline of digits</title>');
    const results = JSON.parse(await readFile(json, 'utf8'));
    expect(results).toEqual({
      backend,
      stages: 2,
      testAccuracy: expect.any(Number),
      samplesPerSecond: expect.any(Number),
      plainSamplesPerSecond: expect.any(Number),
      seconds: expect.any(Number),
    });
    for (const value of [results.samplesPerSecond, results.plainSamplesPerSecond, results.seconds]) {
      expect(value).toBeGreaterThan(0);
    }
  });

  it.each([
    [['--backend', 'gpu'], "argument 'gpu' is invalid"],
    [['--epochs', '0'], 'whole number of at least 1'],
    [['--speed', '9'], "unknown option '--speed'"],
    [['--samples', '20', '--stages', '99'], "Option 'stages' asks for 99 stages"],
  ])('refuses %j', (args, message) => {
    const { status, stderr } = train(args);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });
});
