/**
 * Puts a cached native tree (`deps/lib/…`, `lib/napi-vN/…`) into an installed tfjs-node package, and takes it out
 * again. The tree is made beside the package's files and moved in by renaming, the addon last: an interruption leaves
 * either no addon or a complete one, and processes that have the old files mapped keep them.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf, SetupError } from './errors.js';
import { isProcessRunning } from './lock.js';
import { placeTree } from './place-tree.js';

/** Also the order in which they are moved in. */
const TREE_DIRECTORIES = /** @type {const} */ (['deps', 'lib']);
const ORIGIN_NAME = 'millrace-origin.json';

/**
 * @param {import('./cache.js').CacheEntry} entry
 * @param {import('./locate.js').TfjsNodePackage} tfjsNode
 * @returns {Promise<'linked' | 'copied'>}
 */
export async function installNative(entry, tfjsNode) {
  const beside = path.join(tfjsNode.directory, `.millrace-${process.pid}-${randomUUID().slice(0, 8)}`);
  try {
    await removeLeftOvers(tfjsNode);
    await mkdir(beside);
    const how = await placeTree(entry, beside);
    await writeFile(path.join(beside, 'lib', ORIGIN_NAME), JSON.stringify(entry.facts));
    for (const name of TREE_DIRECTORIES) {
      await rm(path.join(tfjsNode.directory, name), { recursive: true, force: true });
      await rename(path.join(beside, name), path.join(tfjsNode.directory, name));
    }
    return how;
  } catch (error) {
    throw new SetupError(`cannot write into ${tfjsNode.directory}: ${messageOf(error)}`, {
      remedy: 'run the set-up as the owner of node_modules, with enough free disk space',
      cause: error,
    });
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

/**
 * Trees that a killed set-up was still making.
 * @param {import('./locate.js').TfjsNodePackage} tfjsNode
 */
async function removeLeftOvers(tfjsNode) {
  for (const name of await readdir(tfjsNode.directory)) {
    const [, pid] = /^\.millrace-(\d+)-/.exec(name) ?? [];
    if (pid === undefined || isProcessRunning(Number(pid))) continue;
    await rm(path.join(tfjsNode.directory, name), { recursive: true, force: true });
  }
}

/** @param {import('./locate.js').TfjsNodePackage} tfjsNode */
export async function removeNative(tfjsNode) {
  // The addon first: without it the package says plainly that it is not built.
  for (const name of [...TREE_DIRECTORIES].reverse()) {
    await rm(path.join(tfjsNode.directory, name), { recursive: true, force: true });
  }
}

/**
 * What the maker of the cached tree noted, when this set-up put the tree there.
 * @param {import('./locate.js').TfjsNodePackage} tfjsNode
 * @returns {Readonly<Record<string, string>> | null}
 */
export function readOrigin(tfjsNode) {
  const file = path.join(tfjsNode.directory, 'lib', ORIGIN_NAME);
  if (!existsSync(file)) return null;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}
