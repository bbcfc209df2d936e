/** The examples with the models of tfjs's own examples: whole where that takes seconds, else cut short. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backends } from '../helpers/backends.js';
import { temporaryDirectory } from '../io/support.js';
import { readRun } from '../report/tensorboard/reader.js';
import { type ExampleRun, runExample, TIMEOUT_MS } from './run-example.js';

function expectSuccess({ status, stderr }: ExampleRun): void {
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

describe('the iris example', () => {
  it.each(backends().slice(0, 1))('tells the flowers apart on %s', { timeout: TIMEOUT_MS }, backend => {
    const run = runExample('02-iris', ['--backend', backend, '--stages', '2']);
    expectSuccess(run);
    expect(run.stdout).toContain('126 flowers to train on, 24 held back for the test');
    expect(run.stdout).toMatch(/^epoch 100\/100 \| loss [\d.]+ \| accuracy 0\.9\d+ \| test loss/m);
    const [, accuracy] = /accuracy on the 24 flowers held back: ([\d.]+) %/.exec(run.stdout)!;
    expect(Number(accuracy)).toBeGreaterThanOrEqual(95);
    const rows = [...run.stdout.matchAll(/^ *(?:setosa|versicolor|virginica)((?: +\d+){3})$/gm)];
    expect(rows).toHaveLength(3);
    for (const [, cells] of rows) {
      const counts = cells!.trim().split(/ +/).map(Number);
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(8);
    }
  });

  it('writes logs for TensorBoard where it is asked to', { timeout: TIMEOUT_MS }, async () => {
    const logs = await temporaryDirectory();
    expectSuccess(runExample('02-iris', ['--backend', 'cpu', '--epochs', '3', '--logs', logs]));
    expect((await readdir(logs)).sort()).toEqual(['train', 'val']);
    const tags = (await readRun(join(logs, 'train'))).map(({ tag }) => tag);
    expect(tags).toEqual(expect.arrayContaining(['epoch_loss', 'epoch_acc', 'hidden/kernel']));
  });
});

describe('the addition example', () => {
  it.each(backends())('trains on %s', { timeout: TIMEOUT_MS }, backend => {
    const small = ['--sums', '300', '--units', '16', '--epochs', '2'];
    const run = runExample('03-addition-rnn', ['--backend', backend, '--stages', '2', ...small]);
    expectSuccess(run);
    expect(run.stdout).toContain('270 sums to train on, 30 held back for the test');
    expect(run.stdout).toMatch(/^epoch 2\/2 \| loss [\d.]+ \| accuracy [\d.]+/m);
    expect(run.stdout.match(/^.\s?\d+\+\d+ = /gm)).toHaveLength(10);
    expect(run.stdout).toMatch(/^\d+ of 30 sums are right in every character$/m);
  });
});

/** On the cpu backend the convolutions of this one step take minutes. */
const FAST_BACKENDS = backends().filter(name => name !== 'cpu');

describe('the residual network', () => {
  it.each(FAST_BACKENDS)('trains on %s', { timeout: TIMEOUT_MS }, backend => {
    const args = ['--backend', backend, '--stages', '3', '--samples', '100', '--epochs', '1'];
    const run = runExample('04-resnet', args);
    expectSuccess(run);
    expect(run.stdout).toContain('80 digits to train on, 20 held back for the test');
    expect(run.stdout).toMatch(/^epoch 1\/1 \| loss [\d.]+ \| accuracy [\d.]+/m);
    expect(run.stdout).toMatch(/^accuracy on the 20 digits held back: [\d.]+ %$/m);
  });
});

describe('the search', () => {
  it.each(backends().slice(0, 1))('finds a good network on %s', { timeout: TIMEOUT_MS }, backend => {
    const run = runExample('05-search', ['--backend', backend, '--cores', '2', '--with-a-bad-one']);
    expectSuccess(run);
    expect(run.stdout).toMatch(/^no units at all \| failed: .*units/m);
    expect(run.stdout.match(/^ ?\d+ units, rate [\d.]+ \| validation loss/gm)).toHaveLength(12);
    expect(run.stdout).toMatch(/^12 of 13 trials completed in [\d.]+ s$/m);
    const [, accuracy] = /accuracy on the 24 flowers held back: ([\d.]+) %/.exec(run.stdout)!;
    expect(Number(accuracy)).toBeGreaterThanOrEqual(90);
  });
});

describe('a command line', () => {
  it.each([
    ['02-iris', ['--backend', 'gpu'], "argument 'gpu' is invalid"],
    ['02-iris', ['--stages', '9'], "Option 'stages' asks for 9 stages"],
    ['03-addition-rnn', ['--digits', '1'], 'only 55 sums of two numbers of up to 1 digits'],
    ['03-addition-rnn', ['--epochs', 'many'], 'whole number of at least 1'],
    ['05-search', ['--cores', '0'], 'whole number of at least 1'],
    ['04-resnet', ['--samples', '0'], 'whole number of at least 1'],
    ['04-resnet', ['--speed', '9'], "unknown option '--speed'"],
  ])('of %s with %j is refused', (name, args, message) => {
    const { status, stderr } = runExample(name, args);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });
});
