/**
 * What the ways to native TensorFlow have in common: what they are given, what they give back, and the names of their
 * entries in the cache.
 */
import { addonNodeApiVersion } from '../locate.js';

/**
 * @typedef {object} WayContext
 * @property {import('../locate.js').TfjsNodePackage} tfjsNode
 * @property {import('../machine.js').Machine} machine
 * @property {string} cacheDirectory
 * @property {NodeJS.ProcessEnv} env
 * @property {(line: string) => void} log for what takes long; the outcome is printed by the caller
 */

/**
 * @typedef {object} Way
 * @property {string} name as it stands in the output
 * @property {boolean} [isShortcut] repeats what another way has done before, so its failure is no news
 * @property {(context: WayContext) => Promise<import('../cache.js').CacheEntry>} obtain a tree to install; throws a
 *   SetupError when this way does not work here
 * @property {(context: WayContext) => Promise<void>} forget drops from the cache what turned out not to work
 */

/**
 * Facts of a native tree in the cache.
 * @typedef {object} NativeTreeFacts
 * @property {import('../report.js').Origin} origin
 * @property {'yes' | 'no'} attributeNamesLocked
 * @property {string} madeFrom for people
 */

/**
 * Names everything that decides whether a native tree fits: what it was made from and where it can be loaded.
 * @param {WayContext} context
 * @param {string} source
 * @returns {string}
 */
export function nativeEntryName({ tfjsNode, machine }, source) {
  const nodeApi = `napi${addonNodeApiVersion(tfjsNode, machine.nodeApiVersion)}`;
  return ['tfjs-node', tfjsNode.version, source, platformName(machine), nodeApi].join('-');
}

/**
 * @param {import('../machine.js').Machine} machine
 * @returns {string} such as `linux-x64-glibc2.36`
 */
export function platformName({ platform, arch, libc }) {
  return [platform, arch, libc].filter(part => part !== '').join('-');
}
