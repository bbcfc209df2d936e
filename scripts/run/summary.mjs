// @ts-check
/**
 * The last lines of a CI run, from the files that `npm test` left in its results directory:
 *
 *   backends tested: tensorflow, wasm, cpu
 *   123 passed, 0 failed, 4 skipped
 *
 *   node scripts/run/summary.mjs RESULTS_DIRECTORY EXIT_CODE_OF_NPM_TEST
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { BACKENDS_NAME, TEST_RESULTS_NAME } from './checks.mjs';

/**
 * @typedef {object} Summary
 * @property {string[]} lines
 * @property {boolean} ok
 */

/**
 * @param {string} resultsDirectory
 * @param {number} testExitCode
 * @returns {Summary}
 */
export function summarize(resultsDirectory, testExitCode) {
  const backends = readJson(path.join(resultsDirectory, BACKENDS_NAME));
  const tests = readJson(path.join(resultsDirectory, TEST_RESULTS_NAME));
  const passedCount = tests?.numPassedTests ?? 0;
  const skippedCount = (tests?.numPendingTests ?? 0) + (tests?.numTodoTests ?? 0);
  let failedCount = tests?.numFailedTests ?? 0;
  /** @type {string[]} */
  const lines = [];
  // A failure that no test stands for (set-up, lint, a test file that does not load) must not look like success.
  if (testExitCode !== 0 && failedCount === 0) {
    failedCount = 1;
    const where = tests === null ? 'before any test had run' : 'outside the tests';
    lines.push(`npm test failed with exit code ${testExitCode} ${where}: counted as one failure`);
  }
  lines.push(`backends tested: ${Array.isArray(backends) && tests !== null ? backends.join(', ') : 'none'}`);
  lines.push(`${passedCount} passed, ${failedCount} failed, ${skippedCount} skipped`);
  return { lines, ok: testExitCode === 0 && failedCount === 0 && passedCount > 0 };
}

/** @param {string} file */
function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [resultsDirectory = '', exitCode = '1'] = process.argv.slice(2);
  const summary = summarize(resultsDirectory, Number(exitCode));
  console.log(summary.lines.join('\n'));
  process.exitCode = summary.ok ? 0 : Number(exitCode) || 1;
}
