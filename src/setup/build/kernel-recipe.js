/**
 * What Millrace's kernels are made of: the C++ sources in `src/kernels`, and how they are compiled. They use the C interface of
 * TensorFlow that they declare themselves, and nothing of Node's, so the compiler and tfjs-node's libraries are all that is needed.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The same from `src/setup/build` and from `dist/setup/build`. */
const SOURCE_DIRECTORY = fileURLToPath(new URL('../../../src/kernels/', import.meta.url));

const FLAGS = [
  ...['-shared', '-fPIC', '-O3', '-std=c++17', '-pthread', '-w', '-fvisibility=hidden'],
  // Sums may be reordered where the source says so, and what is never asked for must not keep loops from becoming vector code: errno and
  // the floating-point exceptions. All else is as IEEE 754 has it.
  ...['-fopenmp-simd', '-fno-math-errno', '-fno-trapping-math'],
  // TensorFlow keeps pointers into the module as long as the process lives; the thread that loaded it may end before.
  '-Wl,-z,nodelete',
  // A TensorFlow that lacks a function is found out when the module is loaded, not when the function is called.
  '-Wl,-z,now',
  // As the addon beside it, of the same libraries.
  '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../../deps/lib',
];

/** @returns {string[]} the files to compile */
export function kernelSources() {
  return filesWith('.cc');
}

/**
 * @param {object} job
 * @param {import('./compiler.js').Compiler} job.compiler
 * @param {readonly string[]} job.libraries
 * @param {string} job.output
 * @returns {string[]}
 */
export function kernelArguments({ compiler, libraries, output }) {
  return [...compiler.leadingArgs, ...FLAGS, ...kernelSources(), ...libraries, '-o', output];
}

/**
 * Names the sources and the recipe: what a Millrace asks its kernels for, only those of its own sources are known to have.
 * @returns {string}
 */
export function kernelSourceKey() {
  const hash = createHash('sha256').update(JSON.stringify(FLAGS));
  for (const file of [...kernelSources(), ...filesWith('.h')])
    hash.update(path.basename(file)).update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

/**
 * Names what a build depends on, so that another source, recipe or TensorFlow gives another one.
 * @param {readonly string[]} about the platform, TensorFlow's version
 * @param {readonly string[]} libraries
 * @returns {string}
 */
export function kernelKey(about, libraries) {
  const facts = [kernelSourceKey(), about, libraries.map(name => path.basename(name))];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

/** @param {string} extension */
function filesWith(extension) {
  const names = readdirSync(SOURCE_DIRECTORY).filter(name => name.endsWith(extension));
  return names.sort().map(name => path.join(SOURCE_DIRECTORY, name));
}
