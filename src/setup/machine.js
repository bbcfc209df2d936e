/**
 * What the set-up needs to know about this machine and this Node: platform, C library, Node-API version, and where
 * the user's caches live. Everything here can be replaced in tests.
 */
import os from 'node:os';
import path from 'node:path';

/** The oldest Node that Millrace runs on; package.json's `engines` says the same. */
export const OLDEST_NODE = '20.19';

/**
 * @param {string} [version]
 * @returns {boolean}
 */
export function isSupportedNode(version = process.version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/**
 * @typedef {object} Machine
 * @property {string} platform `process.platform`
 * @property {string} arch `process.arch`
 * @property {string} libc `glibc2.36`, `musl`, or empty where the platform has only one
 * @property {string} nodeVersion
 * @property {number} nodeApiVersion the newest Node-API that this Node offers
 */

/** @returns {Machine} */
export function describeMachine() {
  return {
    platform: process.platform,
    arch: process.arch,
    libc: cLibrary(),
    nodeVersion: process.version,
    nodeApiVersion: Number(process.versions.napi),
  };
}

/**
 * An addon compiled against a newer glibc does not load on an older one, and home directories are shared between
 * machines; so the C library is part of every cache key.
 * @returns {string}
 */
function cLibrary() {
  if (process.platform !== 'linux') return '';
  const header = diagnosticReport()['header'];
  const version = header?.glibcVersionRuntime;
  return version === undefined ? 'musl' : `glibc${version}`;
}

/** @returns {Record<string, any>} */
export function diagnosticReport() {
  const report = /** @type {any} */ (process.report);
  // Without this the report resolves the host names of all open connections.
  const before = report.excludeNetwork;
  report.excludeNetwork = true;
  try {
    return report.getReport();
  } finally {
    report.excludeNetwork = before;
  }
}

/**
 * Where the platform keeps caches; `XDG_CACHE_HOME` wins everywhere, so that one variable moves it.
 * @param {NodeJS.ProcessEnv} [env]
 * @param {string} [platform]
 * @returns {string}
 */
export function cacheDirectory(env = process.env, platform = process.platform) {
  const xdg = env['XDG_CACHE_HOME'];
  // The XDG specification says that relative values are invalid and to be ignored.
  if (xdg !== undefined && path.isAbsolute(xdg)) return path.join(xdg, 'millrace');
  const home = env['HOME'] ?? os.homedir();
  if (platform === 'darwin') return path.join(home, 'Library', 'Caches', 'millrace');
  if (platform === 'win32' && env['LOCALAPPDATA'] !== undefined) {
    return path.join(env['LOCALAPPDATA'], 'millrace', 'cache');
  }
  return path.join(home, '.cache', 'millrace');
}
