/**
 * tfjs-node's own install script, run as an explicit step: it downloads a build of libtensorflow and a prebuilt addon.
 * It runs on a copy of the package in the cache's working directory, because it deletes and rewrites files of the
 * package it stands in (`deps/`, `lib/`, even `package.json`), and because it knows no time-outs: where its download
 * host neither answers nor refuses, it would wait for minutes.
 */
import { existsSync } from 'node:fs';
import { cp, readdir, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { dropCacheEntry, withWorkDirectory, writeCacheEntry } from '../cache.js';
import { SetupError } from '../errors.js';
import { addonNodeApiVersion, addonPath, PACKAGE_NAME } from '../locate.js';
import { failureLine, runCommand } from '../run-command.js';
import { nativeEntryName } from './way.js';

/**
 * @typedef {object} InstallScriptTimes
 * @property {number} firstByteMs
 * @property {number} nextByteMs also covers the silent compile that it may fall back to
 * @property {number} totalMs
 */

/** @type {InstallScriptTimes} */
const DEFAULT_TIMES = { firstByteMs: 15_000, nextByteMs: 120_000, totalMs: 15 * 60_000 };

/** Not part of the npm package: what an earlier run, or this set-up, has put there. */
const LEFT_OUT = new Set(['deps', 'lib', 'build', 'node_modules']);

/**
 * @param {Partial<InstallScriptTimes>} [times]
 * @returns {import('./way.js').Way}
 */
export function installScriptWay(times = {}) {
  const limits = { ...DEFAULT_TIMES, ...times };
  return {
    name: 'its own install script',
    obtain: context => obtain(context, limits),
    forget: context => dropCacheEntry(context.cacheDirectory, installScriptEntryName(context)),
  };
}

/** @param {import('./way.js').WayContext} context */
export const installScriptEntryName = context => nativeEntryName(context, 'prebuilt');

/**
 * @param {import('./way.js').WayContext} context
 * @param {InstallScriptTimes} limits
 */
async function obtain(context, limits) {
  const { tfjsNode, machine, cacheDirectory } = context;
  return await withWorkDirectory(cacheDirectory, async workDirectory => {
    const copy = path.join(workDirectory, 'node_modules', ...PACKAGE_NAME.split('/'));
    await cp(tfjsNode.directory, copy, {
      recursive: true,
      filter: source => !LEFT_OUT.has(path.relative(tfjsNode.directory, source)),
    });
    const script = path.join(copy, 'scripts', 'install.js');
    if (!existsSync(script)) throw new SetupError(`${tfjsNode.directory} has no scripts/install.js`);

    const result = await runCommand(process.execPath, [script], {
      cwd: copy,
      env: environmentFor(context),
      timeoutMs: limits.totalMs,
      watch: {
        measure: () => bytesBelow(workDirectory),
        firstChangeMs: limits.firstByteMs,
        nextChangeMs: limits.nextByteMs,
      },
    });
    // No remedy: what to do where the download host is out of reach is the build from source, which comes next.
    if (!result.ok) throw new SetupError(failureLine(result));
    const addon = addonPath(addonNodeApiVersion(tfjsNode, machine.nodeApiVersion));
    if (!existsSync(path.join(copy, addon))) {
      throw new SetupError(`it ended without an error but made no ${addon}: ${failureLine(result)}`);
    }
    return await writeCacheEntry(cacheDirectory, installScriptEntryName(context), async tree => {
      for (const name of ['deps', 'lib']) await rename(path.join(copy, name), path.join(tree, name));
      return /** @type {const} */ ({
        origin: 'install script',
        attributeNamesLocked: 'no',
        madeFrom: `the prebuilt addon of tfjs-node ${tfjsNode.version}`,
      });
    });
  });
}

/**
 * The copy stands outside `node_modules`, so its script is told where the packages and commands are that it uses.
 * @param {import('./way.js').WayContext} context
 * @returns {NodeJS.ProcessEnv}
 */
function environmentFor({ tfjsNode, env }) {
  /** @type {string[]} */
  const moduleDirectories = [path.join(tfjsNode.directory, 'node_modules')];
  let directory = tfjsNode.nodeModulesDirectory;
  for (;;) {
    moduleDirectories.push(
      path.basename(directory) === 'node_modules' ? directory : path.join(directory, 'node_modules'),
    );
    const parent = path.dirname(directory);
    if (parent === directory) break;
    directory = parent;
  }
  const commandDirectories = moduleDirectories.map(modules => path.join(modules, '.bin'));
  return {
    ...env,
    NODE_PATH: moduleDirectories.join(path.delimiter),
    PATH: [...commandDirectories, path.dirname(process.execPath), env['PATH'] ?? ''].join(path.delimiter),
  };
}

/** @param {string} directory */
async function bytesBelow(directory) {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    entries
      .filter(entry => entry.isFile())
      .map(entry =>
        stat(path.join(entry.parentPath, entry.name)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
