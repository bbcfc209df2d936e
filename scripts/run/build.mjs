// @ts-check
/**
 * Compiles `src/` to `dist/` when a source has changed, and removes from `dist/` what no source makes any more, so that
 * a deleted module cannot go on being imported.
 */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { runInForeground } from './child.mjs';
import { dropStamp, filesBelow, hashFiles, stampMatches, writeStamp } from './stamp.mjs';
import { throwIfFailed } from './step.mjs';

const SOURCE_ENDING = /(?<!\.d)\.([cm]?)[jt]s$/;
const OUTPUT_ENDING = /\.(?:d\.[cm]?ts|[cm]?js)(?:\.map)?$/;

/**
 * @param {import('./paths.mjs').Clone} clone
 * @param {typeof runInForeground} [run]
 * @returns {Promise<string>}
 */
export async function build(clone, run = runInForeground) {
  const stamp = path.join(clone.stamps, 'build.json');
  const buildInfo = path.join(clone.stamps, 'tsconfig.tsbuildinfo');
  const inputs = buildInputs(clone);
  const complete = missingOutputs(clone).length === 0;
  if (complete && staleOutputs(clone).length === 0 && stampMatches(stamp, inputs))
    return 'dist is up to date';

  dropStamp(stamp);
  // The compiler believes its own record and would not write again what somebody has deleted.
  if (!complete) rmSync(buildInfo, { force: true });
  for (const file of staleOutputs(clone)) rmSync(file);
  const compiler = path.join(clone.nodeModules, 'typescript', 'bin', 'tsc');
  const args = [compiler, '-p', 'tsconfig.json', '--incremental', '--tsBuildInfoFile', buildInfo];
  throwIfFailed('tsc', await run(process.execPath, args, { cwd: clone.root }));
  writeStamp(stamp, inputs);
  return 'dist compiled';
}

/** @param {import('./paths.mjs').Clone} clone */
export function buildInputs(clone) {
  const files = [...filesBelow(clone.source), path.join(clone.root, 'tsconfig.json')];
  return {
    sources: hashFiles(files, clone.root),
    // Types come from the packages; another lock file may hold others.
    packageLock: hashFiles([path.join(clone.root, 'package-lock.json')], clone.root),
  };
}

/**
 * @param {import('./paths.mjs').Clone} clone
 * @returns {string[]} the JavaScript files that a source should have made and that are not there
 */
export function missingOutputs(clone) {
  return filesBelow(clone.source)
    .filter(file => SOURCE_ENDING.test(file))
    .map(file => path.join(clone.dist, path.relative(clone.source, file).replace(SOURCE_ENDING, '.$1js')))
    .filter(file => !existsSync(file));
}

/**
 * @param {import('./paths.mjs').Clone} clone
 * @returns {string[]} files in `dist/` that none of the sources makes
 */
export function staleOutputs(clone) {
  const made = new Set(
    filesBelow(clone.source).map(file => path.relative(clone.source, file).replace(SOURCE_ENDING, '')),
  );
  return filesBelow(clone.dist).filter(
    file => !made.has(path.relative(clone.dist, file).replace(OUTPUT_ENDING, '')),
  );
}
