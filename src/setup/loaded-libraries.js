/**
 * Which libtensorflow builds are mapped into this process. Two different ones would share symbol names and corrupt
 * each other, so the probe and the runtime check that there is at most one.
 */
import { readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { SetupError } from './errors.js';
import { diagnosticReport } from './machine.js';

const LIBRARY_NAME = /^(lib)?tensorflow(_cc|_framework)?[.\d]*\.(so|dylib|dll)/;

/** @returns {string[]} real paths, each once */
export function loadedTensorflowLibraries() {
  const paths = mappedFiles().filter(file => LIBRARY_NAME.test(path.basename(file)));
  return [...new Set(paths.map(realPath))].sort();
}

/**
 * @param {readonly string[]} [libraries]
 * @throws {SetupError} when libraries of two builds are loaded
 */
export function assertOneTensorflowBuild(libraries = loadedTensorflowLibraries()) {
  // One build has its libraries side by side: a second directory is a second build.
  const directories = new Set(libraries.map(library => path.dirname(library)));
  if (directories.size <= 1) return;
  throw new SetupError(
    `two builds of libtensorflow are loaded in one process, from ${[...directories].join(' and ')}`,
    {
      remedy: `keep one copy of @tensorflow/tfjs-node in the project ('npm ls @tensorflow/tfjs-node' shows them)`,
    },
  );
}

/** @returns {string[]} */
function mappedFiles() {
  if (process.platform !== 'linux') return diagnosticReport()['sharedObjects'] ?? [];
  // Fifty times faster than the diagnostic report, which is what makes it fit for every worker's start.
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .map(line => line.slice(line.indexOf('/')))
    .filter(file => file.startsWith('/'));
}

/** @param {string} file */
function realPath(file) {
  try {
    return realpathSync(file);
  } catch {
    // Deleted since it was loaded, as `npm ci` does under a running process.
    return file;
  }
}
