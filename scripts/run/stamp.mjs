// @ts-check
/** A stamp is a small JSON file that says from what a step's result was made; equal inputs mean nothing to do. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * @param {string} file
 * @param {Readonly<Record<string, string>>} inputs
 * @returns {boolean}
 */
export function stampMatches(file, inputs) {
  try {
    return readFileSync(file, 'utf8') === textOf(inputs);
  } catch {
    return false;
  }
}

/**
 * Written after the step has succeeded, and whole or not at all.
 * @param {string} file
 * @param {Readonly<Record<string, string>>} inputs
 */
export function writeStamp(file, inputs) {
  mkdirSync(path.dirname(file), { recursive: true });
  const beside = `${file}.${process.pid}`;
  writeFileSync(beside, textOf(inputs));
  renameSync(beside, file);
}

/** @param {string} file */
export function dropStamp(file) {
  rmSync(file, { force: true });
}

/**
 * @param {readonly string[]} files
 * @param {string} root names are hashed relative to it, so that a moved clone keeps its stamp
 * @returns {string}
 */
export function hashFiles(files, root) {
  const hash = createHash('sha256');
  for (const file of [...files].sort()) {
    const content = readFileSync(file);
    hash.update(`${path.relative(root, file)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/**
 * @param {string} directory
 * @returns {string[]} all files below it; none when it does not exist
 */
export function filesBelow(directory) {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => path.join(entry.parentPath, entry.name));
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return [];
    throw error;
  }
}

/** @param {Readonly<Record<string, string>>} inputs */
function textOf(inputs) {
  return `${JSON.stringify(inputs, null, 2)}\n`;
}
