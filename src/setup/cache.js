/**
 * Entries of the cache that outlives `node_modules`. An entry is a directory tree that is filled in a working
 * directory beside it, described by a manifest of sizes and checksums that is written last, and then renamed into
 * place; so an entry is whole or it is not there. What was damaged afterwards (a truncated file, a cleaned-up disk) is
 * found by the checksums and thrown away, and the caller makes it again.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { messageOf, SetupError } from './errors.js';
import { isProcessRunning } from './lock.js';

const MANIFEST_NAME = 'manifest.json';
const MANIFEST_VERSION = 1;
const WORK_DIRECTORY_NAME = 'work';
const ABANDONED_AFTER_MS = 24 * 60 * 60_000;
const HASH_CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * @typedef {object} TreeFile One file of a tree, either with content or a relative symbolic link.
 * @property {string} path relative to the tree, with forward slashes
 * @property {number} [bytes]
 * @property {string} [sha256]
 * @property {string} [linkTo]
 */

/**
 * @typedef {object} CacheEntry
 * @property {string} directory
 * @property {Readonly<Record<string, string>>} facts what the maker of the entry wanted to remember
 * @property {readonly TreeFile[]} files
 */

/**
 * @param {string} cacheDirectory
 * @param {string} name
 * @returns {Promise<CacheEntry | null>} null when it is not there or was damaged, and then removed
 */
export async function readCacheEntry(cacheDirectory, name) {
  const directory = path.join(cacheDirectory, name);
  const manifest = await readManifest(directory);
  if (manifest === null) return null;
  for (const file of manifest.files) {
    if (await isIntact(directory, file)) continue;
    await dropCacheEntry(cacheDirectory, name);
    return null;
  }
  return { directory, facts: manifest.facts, files: manifest.files };
}

/**
 * @param {string} cacheDirectory
 * @param {string} name
 * @param {(directory: string) => Promise<Readonly<Record<string, string>>>} fill writes the tree, returns its facts
 * @returns {Promise<CacheEntry>}
 */
export async function writeCacheEntry(cacheDirectory, name, fill) {
  return await withWorkDirectory(cacheDirectory, async workDirectory => {
    const tree = path.join(workDirectory, 'entry');
    await mkdir(tree);
    const facts = await fill(tree);
    const files = await describeTree(tree);
    await writeFile(
      path.join(tree, MANIFEST_NAME),
      JSON.stringify({ manifestVersion: MANIFEST_VERSION, facts, files }, null, 2),
    );
    await dropCacheEntry(cacheDirectory, name);
    const directory = path.join(cacheDirectory, name);
    await rename(tree, directory);
    return { directory, facts, files };
  });
}

/**
 * @param {string} cacheDirectory
 * @param {string} name
 */
export async function dropCacheEntry(cacheDirectory, name) {
  await rm(path.join(cacheDirectory, name), { recursive: true, force: true });
}

/**
 * A scratch directory on the cache's file system (so that renames work), removed afterwards.
 * @template T
 * @param {string} cacheDirectory
 * @param {(directory: string) => Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withWorkDirectory(cacheDirectory, use) {
  const name = `${os.hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const directory = path.join(cacheDirectory, WORK_DIRECTORY_NAME, name);
  try {
    await mkdir(directory, { recursive: true });
  } catch (error) {
    throw new SetupError(`cannot write the cache directory ${cacheDirectory}: ${messageOf(error)}`, {
      remedy: 'set XDG_CACHE_HOME to a directory that can be written',
      cause: error,
    });
  }
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Removes the working directories of set-ups that were interrupted: of dead processes on this machine, and from other
 * machines those that nobody can still be working in.
 * @param {string} cacheDirectory
 */
export async function removeLeftOvers(cacheDirectory) {
  const parent = path.join(cacheDirectory, WORK_DIRECTORY_NAME);
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const [, host, pid] = /^(.*)-(\d+)-[0-9a-f]+$/.exec(name) ?? [];
    const ageMs = Date.now() - ((await lstat(path.join(parent, name)).catch(() => null))?.mtimeMs ?? 0);
    const ownerIsDead = host === os.hostname() && !isProcessRunning(Number(pid));
    if (!ownerIsDead && ageMs < ABANDONED_AFTER_MS) continue;
    await rm(path.join(parent, name), { recursive: true, force: true });
  }
}

/**
 * @param {string} directory
 * @returns {Promise<{ facts: Record<string, string>, files: TreeFile[] } | null>}
 */
async function readManifest(directory) {
  try {
    const manifest = JSON.parse(await readFile(path.join(directory, MANIFEST_NAME), 'utf8'));
    return manifest.manifestVersion === MANIFEST_VERSION ? manifest : null;
  } catch {
    return null;
  }
}

/**
 * @param {string} directory
 * @param {TreeFile} file
 */
async function isIntact(directory, file) {
  try {
    const full = path.join(directory, file.path);
    if (file.linkTo !== undefined) return (await readlink(full)) === file.linkTo;
    // The size first: it finds a truncated file without reading half a gigabyte.
    return (await lstat(full)).size === file.bytes && (await sha256Of(full)) === file.sha256;
  } catch {
    return false;
  }
}

/**
 * @param {string} directory
 * @returns {Promise<TreeFile[]>}
 */
async function describeTree(directory) {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  /** @type {TreeFile[]} */
  const files = [];
  for (const entry of entries) {
    const full = path.join(entry.parentPath, entry.name);
    const relative = path.relative(directory, full).split(path.sep).join('/');
    if (entry.isSymbolicLink()) files.push({ path: relative, linkTo: await readlink(full) });
    else if (entry.isFile()) {
      files.push({ path: relative, bytes: (await lstat(full)).size, sha256: await sha256Of(full) });
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * @param {string} file
 * @returns {Promise<string>}
 */
async function sha256Of(file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: HASH_CHUNK_BYTES })) hash.update(chunk);
  return hash.digest('hex');
}
