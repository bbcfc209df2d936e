import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { failureLine, runCommand } from '#internal/setup/run-command.js';
import { temporaryDirectory } from './fixtures.js';

const LONG_MS = 60_000;
const HANG = 'setInterval(() => {}, 1000);';
const node = (program: string, options: Partial<Parameters<typeof runCommand>[2]> = {}) =>
  runCommand(process.execPath, ['-e', program], { timeoutMs: LONG_MS, ...options });

describe('running a command', () => {
  it('captures its output and exit code', async () => {
    const result = await node('console.log("out"); console.error("err"); process.exitCode = 3');
    expect(result).toMatchObject({ ok: false, exitCode: 3, signal: null, endedBecause: null });
    expect(result.stdout).toBe('out\n');
    expect(result.stderr).toBe('err\n');
  });

  it('reports a command that does not exist', async () => {
    const result = await runCommand('no-such-command-of-millrace', [], { timeoutMs: LONG_MS });
    expect(result.ok).toBe(false);
    expect(failureLine(result)).toContain('ENOENT');
  });

  it('ends a command that takes too long, together with what it started', async () => {
    const file = path.join(temporaryDirectory(), 'started');
    // The grandchild holds our pipes: the command counts as ended only when the grandchild has ended as well.
    const program = `
      require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(HANG)}], { stdio: 'inherit' });
      require('node:fs').writeFileSync(${JSON.stringify(file)}, '');
      ${HANG}`;
    let count = 0;
    const watch = {
      // Progress without end until the grandchild is there, and none from then on.
      measure: async () => (existsSync(file) ? -1 : ++count),
      firstChangeMs: LONG_MS,
      nextChangeMs: 1,
    };
    const result = await node(program, { watch });
    expect(result.endedBecause).toBe('nothing arrived for 0.001 s');
  });

  it('bounds the whole time', async () => {
    const result = await node(HANG, { timeoutMs: 50 });
    expect(result.ok).toBe(false);
    expect(failureLine(result)).toBe('ended because it took longer than 0.05 s');
  });

  it('ends a command to which nothing ever arrives', async () => {
    const watch = { measure: async () => 0, firstChangeMs: 1, nextChangeMs: LONG_MS };
    const result = await node(HANG, { watch });
    expect(failureLine(result)).toBe('ended because nothing arrived for 0.001 s');
  });
});

describe('the line that says why a command failed', () => {
  const failed = {
    ok: false,
    exitCode: 1,
    signal: null,
    endedBecause: null,
    stdout: '',
    stderr: '',
    durationMs: 1,
  };

  it.each([
    [
      'the error of a stack trace',
      'node:events:502\n      throw er;\n\nError: getaddrinfo ENOTFOUND host\n    at x',
      'Error: getaddrinfo ENOTFOUND host',
    ],
    [
      "a compiler's first error",
      'In file included from a.cc:1:\na.h:3:10: fatal error: b.h: No such file\ncompilation terminated.',
      'a.h:3:10: fatal error: b.h: No such file',
    ],
    ['the last line where none names an error', 'one\ntwo\n', 'two'],
    ['the exit code where there is nothing else', '', 'ended with exit code 1'],
  ])('is %s', (_what, stderr, line) => {
    expect(failureLine({ ...failed, stderr })).toBe(line);
  });
});
