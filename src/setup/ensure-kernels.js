/**
 * Compiles Millrace's own kernels for the TensorFlow that the set-up has obtained, and puts them beside its addon. Training runs without
 * them too, only slower, so nothing that goes wrong here is an error: it is printed, remembered and told by the doctor.
 */
import { existsSync } from 'node:fs';
import { copyFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { findCompiler, runCompiler } from './build/compiler.js';
import { kernelArguments, kernelKey } from './build/kernel-recipe.js';
import { dropCacheEntry, readCacheEntry, writeCacheEntry } from './cache.js';
import { messageOf, SetupError } from './errors.js';
import { readKernelsReport, writeKernelsReport } from './kernels-report.js';
import { kernelsFor, locateAddon, locateTfjsNode } from './locate.js';
import { withLock } from './lock.js';
import { cacheDirectory as defaultCacheDirectory, describeMachine } from './machine.js';
import { probeKernels } from './probe.js';
import { platformName } from './ways/way.js';

const MODULE_NAME = 'kernels.node';

/**
 * @typedef {object} KernelOptions
 * @property {string} [projectDirectory]
 * @property {boolean} [retry] try again what failed before (default false)
 * @property {(line: string) => void} [log]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} [cacheDirectory]
 * @property {import('./probe.js').Probe} [probe]
 * @property {import('./machine.js').Machine} [machine]
 */

/**
 * @param {import('./report.js').NativeFacts} native what the set-up has obtained
 * @param {KernelOptions} [options]
 * @returns {Promise<boolean>} whether the kernels are there
 */
export async function ensureKernels(native, options = {}) {
  /** @param {string} line */
  const log = line => (options.log ?? console.log)(`kernels: ${line}`);
  const { projectDirectory, env = process.env, machine = describeMachine() } = options;
  const tfjsNode = locateTfjsNode(projectDirectory === undefined ? undefined : [projectDirectory]);
  if (tfjsNode === null) return false;
  const file = kernelsFor(locateAddon(tfjsNode, machine.nodeApiVersion));
  const libraries = native.stamp.map(({ path }) => path).filter(name => !name.endsWith('.node'));
  const key = kernelKey([platformName(machine), native.tensorflowVersion], libraries);
  const before = readKernelsReport(file);
  if (before?.key === key && before.ok && existsSync(file)) {
    log(`already there, ${before.detail}`);
    return true;
  }
  if (before?.key === key && !before.ok && !options.retry) {
    log(`not available, as found before (${before.detail}); 'npx millrace setup' tries again`);
    return false;
  }
  const startMs = performance.now();
  const seconds = () => `${((performance.now() - startMs) / 1000).toFixed(1)} s`;
  const cacheDirectory = options.cacheDirectory ?? defaultCacheDirectory(env);
  const work = { env, machine, libraries, cacheDirectory, name: `kernels-${key}-${platformName(machine)}` };
  try {
    const onWait = (/** @type {string} */ owner) => log(`waiting for another set-up (${owner})`);
    const detail = await withLock(path.join(cacheDirectory, 'lock'), () => place(work, file), { onWait });
    const found = await (options.probe ?? probeKernels)(tfjsNode.directory);
    if (!found.ok) {
      await dropCacheEntry(cacheDirectory, work.name);
      throw new SetupError(`what was compiled does not work: ${found.reason}`);
    }
    writeKernelsReport(file, { key, ok: true, detail, remedy: null });
    log(`ready in ${seconds()}, ${detail}`);
    return true;
  } catch (error) {
    await rm(file, { force: true });
    const remedy = error instanceof SetupError ? error.remedy : null;
    writeKernelsReport(file, { key, ok: false, detail: messageOf(error), remedy });
    log(
      `not available after ${seconds()}, TensorFlow's own ops are used instead: ${messageOf(error)}${remedy === null ? '' : `. To get them: ${remedy}`}`,
    );
    return false;
  }
}

/**
 * @typedef {object} Work
 * @property {NodeJS.ProcessEnv} env
 * @property {import('./machine.js').Machine} machine
 * @property {readonly string[]} libraries
 * @property {string} cacheDirectory
 * @property {string} name of the entry in the cache
 */

/**
 * @param {Work} work
 * @param {string} file
 * @returns {Promise<string>} what they were made with
 */
async function place(work, file) {
  const entry = (await readCacheEntry(work.cacheDirectory, work.name)) ?? (await compile(work));
  // Renamed, so that a process that has the old one mapped keeps it.
  const beside = `${file}.${process.pid}`;
  await copyFile(path.join(entry.directory, MODULE_NAME), beside);
  await rename(beside, file);
  return entry.facts['madeWith'] ?? '';
}

/** @param {Work} work */
async function compile({ env, machine, libraries, cacheDirectory, name }) {
  if (machine.platform !== 'linux')
    throw new SetupError(`they are compiled on Linux alone, not on ${machine.platform}`);
  const compiler = await findCompiler(env);
  return await writeCacheEntry(cacheDirectory, name, async tree => {
    const output = path.join(tree, MODULE_NAME);
    await runCompiler(compiler, kernelArguments({ compiler, libraries, output }), { cwd: tree, env });
    return { madeWith: `compiled with ${compiler.description}` };
  });
}
