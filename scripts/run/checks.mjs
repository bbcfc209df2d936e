// @ts-check
/**
 * What `npm test` checks once everything is set up: formatting and lint, the import arrows between the rooms, the types of
 * what the build does not compile, and the tests on every backend that can be had. All of them run, so that one report
 * shows everything; the exit code is that of the first that failed.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { forcedBackend } from '../../src/setup/index.js';
import { runInForeground } from './child.mjs';
import { formatMs, StepFailed, say, throwIfFailed } from './step.mjs';

/** The directory into which CI wants the results, as files (see summary.mjs). */
export const RESULTS_VARIABLE = 'MILLRACE_TEST_RESULTS';
/** Which backends the tests iterate over, comma-separated. */
export const BACKENDS_VARIABLE = 'MILLRACE_TEST_BACKENDS';
export const TEST_RESULTS_NAME = 'tests.json';
export const BACKENDS_NAME = 'backends.json';

/**
 * The plain JavaScript backend needs nothing and the wasm one comes with its package; a forced backend leaves out what
 * stands before it.
 * @param {boolean} nativeIsReady
 * @param {import('../../src/setup/forced-backend.js').BackendName | null} [forced]
 * @returns {string[]}
 */
export function testBackends(nativeIsReady, forced = forcedBackend()) {
  if (forced === 'cpu') return ['cpu'];
  return nativeIsReady && forced !== 'wasm' ? ['tensorflow', 'wasm', 'cpu'] : ['wasm', 'cpu'];
}

/**
 * @param {import('./paths.mjs').Clone} clone
 * @param {readonly string[]} backends
 * @param {readonly string[]} testArgs for vitest
 */
export async function runChecks(clone, backends, testArgs) {
  const results = process.env[RESULTS_VARIABLE];
  if (results !== undefined) writeFileSync(path.join(results, BACKENDS_NAME), JSON.stringify(backends));
  const reporters =
    results === undefined
      ? []
      : [
          '--reporter=default',
          '--reporter=json',
          `--outputFile.json=${path.join(results, TEST_RESULTS_NAME)}`,
        ];
  const env = { ...process.env, [BACKENDS_VARIABLE]: backends.join(',') };
  const checks = [
    { name: 'biome', script: '@biomejs/biome/bin/biome', args: ['check', '.'] },
    {
      name: 'import arrows',
      script: 'dependency-cruiser/bin/dependency-cruise.mjs',
      args: ['--config', '.dependency-cruiser.cjs', 'src'],
    },
    { name: 'types', script: 'typescript/bin/tsc', args: ['-p', 'tsconfig.check.json'] },
    { name: 'vitest', script: 'vitest/vitest.mjs', args: ['run', ...reporters, ...testArgs] },
  ];
  /** @type {StepFailed | null} */
  let firstFailure = null;
  for (const { name, script, args } of checks) {
    const startMs = performance.now();
    const command = [path.join(clone.nodeModules, script), ...args];
    const end = await runInForeground(process.execPath, command, { cwd: clone.root, env });
    say(`${name} ${end.exitCode === 0 ? 'passed' : 'FAILED'} (${formatMs(performance.now() - startMs)})`);
    if (end.exitCode !== 0) firstFailure ??= new StepFailed(name, end.exitCode, end.signal);
    if (end.signal !== null) break;
  }
  say(`backends tested: ${backends.join(', ')}`);
  if (firstFailure !== null) throw firstFailure;
}

/**
 * What is drawn in a browser, in one: they need Chromium, which not every machine has.
 * @param {import('./paths.mjs').Clone} clone
 * @param {readonly string[]} testArgs for vitest
 */
export async function runBrowserTests(clone, testArgs) {
  const vitest = path.join(clone.nodeModules, 'vitest', 'vitest.mjs');
  const args = [vitest, 'run', '--config', path.join('test', 'browser', 'vitest.config.ts'), ...testArgs];
  throwIfFailed('browser tests', await runInForeground(process.execPath, args, { cwd: clone.root }));
}
