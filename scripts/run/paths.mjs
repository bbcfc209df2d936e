// @ts-check
/** Where things stand in a clone of the repository. Stamps live in `node_modules`, so they vanish together with it. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Clone
 * @property {string} root
 * @property {string} source
 * @property {string} dist
 * @property {string} nodeModules
 * @property {string} stamps
 * @property {string} lock held while packages are installed and while the source is compiled
 */

/**
 * @param {string} [root]
 * @returns {Clone}
 */
export function clonePaths(root = fileURLToPath(new URL('../..', import.meta.url))) {
  const nodeModules = path.join(root, 'node_modules');
  return {
    root,
    source: path.join(root, 'src'),
    dist: path.join(root, 'dist'),
    nodeModules,
    stamps: path.join(nodeModules, '.millrace'),
    // Not in node_modules, which `npm ci` removes while the lock is held.
    lock: path.join(root, '.millrace', 'lock'),
  };
}
