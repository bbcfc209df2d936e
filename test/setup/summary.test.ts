import { describe, expect, it } from 'vitest';
import { summarize } from '../../scripts/run/summary.mjs';
import { temporaryDirectory, writeFiles } from './fixtures.js';

const BACKENDS = ['tensorflow', 'wasm', 'cpu'];

function results(tests?: object): string {
  const directory = temporaryDirectory();
  writeFiles(directory, { 'backends.json': JSON.stringify(BACKENDS) });
  if (tests !== undefined) writeFiles(directory, { 'tests.json': JSON.stringify(tests) });
  return directory;
}

describe('the last lines of a CI run', () => {
  it('count what vitest counted', () => {
    const tests = { numPassedTests: 12, numFailedTests: 0, numPendingTests: 2, numTodoTests: 1 };
    expect(summarize(results(tests), 0)).toEqual({
      lines: ['backends tested: tensorflow, wasm, cpu', '12 passed, 0 failed, 3 skipped'],
      ok: true,
    });
  });

  it('do not count a failure twice', () => {
    const tests = { numPassedTests: 12, numFailedTests: 2, numPendingTests: 0, numTodoTests: 0 };
    const { lines, ok } = summarize(results(tests), 1);
    expect(lines.at(-1)).toBe('12 passed, 2 failed, 0 skipped');
    expect(ok).toBe(false);
  });

  it('show a failure outside the tests', () => {
    const tests = { numPassedTests: 12, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };
    expect(summarize(results(tests), 1)).toEqual({
      lines: [
        'npm test failed with exit code 1 outside the tests: counted as one failure',
        'backends tested: tensorflow, wasm, cpu',
        '12 passed, 1 failed, 0 skipped',
      ],
      ok: false,
    });
  });

  it('do not claim a backend when no test ran', () => {
    expect(summarize(results(), 2).lines).toEqual([
      'npm test failed with exit code 2 before any test had run: counted as one failure',
      'backends tested: none',
      '0 passed, 1 failed, 0 skipped',
    ]);
  });

  it('do not call it a success when nothing was tested', () => {
    expect(summarize(results({ numPassedTests: 0 }), 0).ok).toBe(false);
  });
});
