/**
 * Finds the C++ compiler and calls it directly, on the addon's two source files and on Millrace's kernels. node-gyp is left out on purpose: it
 * needs make and Python modules, and would download Node's headers where it does not find them.
 */
import path from 'node:path';
import { SetupError } from '../errors.js';
import { failureLine, runCommand } from '../run-command.js';

const VERSION_TIMEOUT_MS = 10_000;
const COMPILE_TIMEOUT_MS = 5 * 60_000;

/**
 * @typedef {object} Compiler
 * @property {string} command
 * @property {readonly string[]} leadingArgs `CXX` may hold more than a name, such as `ccache g++`
 * @property {string} description
 */

/**
 * @param {NodeJS.ProcessEnv} env `CXX` comes first, as in every build system
 * @returns {Promise<Compiler>}
 */
export async function findCompiler(env) {
  const candidates = [env['CXX'] ?? '', 'c++', 'g++', 'clang++'].filter(text => text.trim() !== '');
  for (const candidate of candidates) {
    const [command = '', ...leadingArgs] = candidate.trim().split(/\s+/);
    const result = await runCommand(command, [...leadingArgs, '--version'], {
      timeoutMs: VERSION_TIMEOUT_MS,
      env,
    });
    if (!result.ok) continue;
    const description = result.stdout.split('\n')[0]?.trim() || candidate;
    return { command, leadingArgs, description };
  }
  throw new SetupError(`found no C++ compiler (tried ${candidates.join(', ')})`, {
    remedy:
      'install a C++ compiler (Debian and Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++), or set CXX',
  });
}

/**
 * @typedef {object} CompileJob
 * @property {Compiler} compiler
 * @property {NodeJS.ProcessEnv} env
 * @property {readonly string[]} sources
 * @property {readonly string[]} includeDirectories
 * @property {readonly string[]} libraries
 * @property {number} nodeApiVersion
 * @property {string} addon the file to make
 */

/** @param {CompileJob} job */
export async function compileAddon(job) {
  await runCompiler(job.compiler, compilerArguments(job), { cwd: path.dirname(job.addon), env: job.env });
}

/**
 * @param {Compiler} compiler
 * @param {readonly string[]} args all of them, the leading ones too
 * @param {{ cwd: string, env: NodeJS.ProcessEnv }} place
 */
export async function runCompiler(compiler, args, { cwd, env }) {
  const result = await runCommand(compiler.command, args, {
    timeoutMs: COMPILE_TIMEOUT_MS,
    cwd,
    env,
  });
  if (result.ok) return;
  throw new SetupError(`the compiler failed (${compiler.description}): ${failureLine(result)}`, {
    remedy: 'use a compiler for C++17, such as g++ 8 or clang 7 and later',
  });
}

/**
 * @param {CompileJob} job
 * @returns {string[]}
 */
export function compilerArguments(job) {
  return [
    ...job.compiler.leadingArgs,
    ...['-shared', '-fPIC', '-O2', '-std=c++17', '-pthread', '-w'],
    `-DNAPI_VERSION=${job.nodeApiVersion}`,
    ...job.includeDirectories.map(directory => `-I${directory}`),
    ...job.sources,
    ...job.libraries,
    // An old-style run path, which wins over LD_LIBRARY_PATH: another libtensorflow there must not get in.
    '-Wl,--disable-new-dtags,-rpath,$ORIGIN/../../deps/lib',
    ...['-o', job.addon],
  ];
}
