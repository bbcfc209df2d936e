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
import { failedSlowlyJustNow } from './slow-failure.js';
import { platformName } from './ways/way.js';

const MODULE_NAME = 'kernels.node';

/**
 * @typedef {object} KernelOptions
 * @property {string} [projectDirectory]
 * @property {boolean} [retry] try again what failed before, and what is there (default false)
 * @property {(line: string) => void} [log]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} [cacheDirectory]
 * @property {import('./probe.js').KernelProbe} [probe]
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
  if (machine.platform !== 'linux') {
    log(`not compiled on ${machine.platform}, only on Linux; TensorFlow's own ops are used instead`);
    return false;
  }
  const startMs = performance.now();
  const elapsedMs = () => performance.now() - startMs;
  const seconds = () => `${(elapsedMs() / 1000).toFixed(1)} s`;
  const file = kernelsFor(locateAddon(tfjsNode, machine.nodeApiVersion));
  let key = '';
  try {
    const libraries = native.stamp.map(({ path }) => path).filter(name => !name.endsWith('.node'));
    key = kernelKey([platformName(machine), native.tensorflowVersion], libraries);
    const before = readKernelsReport(file);
    const isKnown = before?.key === key && !options.retry;
    if (isKnown && before.ok && existsSync(file)) {
      log(`already there, ${before.detail}`);
      return true;
    }
    if (isKnown && !before.ok && failedSlowlyJustNow(before.durationMs, before.writtenAt)) {
      log(`not available, as found before (${before.detail}); 'npx millrace setup' tries again`);
      return false;
    }
    const cacheDirectory = options.cacheDirectory ?? defaultCacheDirectory(env);
    const name = `kernels-${key}-${platformName(machine)}`;
    const probe = options.probe ?? probeKernels;
    const work = { env, tfjsNode, libraries, cacheDirectory, name, file, probe };
    const onWait = (/** @type {string} */ owner) => log(`waiting for another set-up (${owner})`);
    const detail = await withLock(path.join(cacheDirectory, 'lock'), () => place(work), { onWait });
    writeKernelsReport(file, { key, ok: true, detail, remedy: null, durationMs: elapsedMs() });
    log(`ready in ${seconds()}, ${detail}`);
    return true;
  } catch (error) {
    const remedy = error instanceof SetupError ? error.remedy : null;
    const detail = messageOf(error);
    // What was made for an earlier TensorFlow must not be loaded. Where nothing can be removed it
    // stays, and who loads it tries it first.
    await rm(file, { force: true }).catch(() => {});
    writeKernelsReport(file, { key, ok: false, detail, remedy, durationMs: elapsedMs() });
    const advice = remedy === null ? '' : `. To get them: ${remedy}`;
    log(`not available after ${seconds()}, TensorFlow's own ops are used instead: ${detail}${advice}`);
    return false;
  }
}

/**
 * @typedef {object} Work
 * @property {NodeJS.ProcessEnv} env
 * @property {import('./locate.js').TfjsNodePackage} tfjsNode
 * @property {readonly string[]} libraries
 * @property {string} cacheDirectory
 * @property {string} name of the entry in the cache
 * @property {string} file
 * @property {import('./probe.js').KernelProbe} probe
 */

/**
 * @param {Work} work
 * @returns {Promise<string>} what they were made with
 */
async function place(work) {
  const entry = (await readCacheEntry(work.cacheDirectory, work.name)) ?? (await compile(work));
  // Tried before it is in its place, and renamed, so that a process that has the old one mapped keeps it.
  const beside = `${work.file}.${process.pid}`;
  try {
    await copyFile(path.join(entry.directory, MODULE_NAME), beside);
    const found = await work.probe(work.tfjsNode.directory, beside);
    if (!found.ok) {
      await dropCacheEntry(work.cacheDirectory, work.name);
      throw new SetupError(`what was compiled does not work: ${found.reason}`);
    }
    await rename(beside, work.file);
  } finally {
    await rm(beside, { force: true });
  }
  return entry.facts['madeWith'] ?? '';
}

/** @param {Work} work */
async function compile({ env, libraries, cacheDirectory, name }) {
  const compiler = await findCompiler(env);
  return await writeCacheEntry(cacheDirectory, name, async tree => {
    const output = path.join(tree, MODULE_NAME);
    await runCompiler(compiler, kernelArguments({ compiler, libraries, output }), { cwd: tree, env });
    return { madeWith: `compiled with ${compiler.description}` };
  });
}
