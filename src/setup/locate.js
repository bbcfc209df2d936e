/**
 * Finds the copy of `@tensorflow/tfjs-node` that the set-up works on: the one that Millrace's workers would load, else
 * the one that the project in the current directory would load. In an installed package both are the same; they
 * differ when Millrace runs from npx's own cache.
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelSourceKey } from './build/kernel-recipe.js';

export const PACKAGE_NAME = '@tensorflow/tfjs-node';

/**
 * @typedef {object} TfjsNodePackage
 * @property {string} directory the real path, without symbolic links
 * @property {string} nodeModulesDirectory the `node_modules` that holds it
 * @property {string} version
 * @property {readonly number[]} nodeApiVersions the Node-API versions that its loader looks for
 */

/**
 * @param {readonly string[]} [startDirectories] each is searched as a module in that directory would search
 * @returns {TfjsNodePackage | null}
 */
export function locateTfjsNode(startDirectories = defaultStartDirectories()) {
  for (const start of startDirectories) {
    const directory = resolvePackageDirectory(PACKAGE_NAME, start);
    if (directory === null) continue;
    const manifest = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
    return {
      directory,
      nodeModulesDirectory: path.resolve(directory, ...PACKAGE_NAME.split('/').map(() => '..')),
      version: manifest.version,
      nodeApiVersions: manifest.binary?.napi_versions ?? [],
    };
  }
  return null;
}

/** @returns {string[]} */
function defaultStartDirectories() {
  return [path.dirname(fileURLToPath(import.meta.url)), process.cwd()];
}

/**
 * @param {string} packageName
 * @param {string} startDirectory
 * @returns {string | null}
 */
export function resolvePackageDirectory(packageName, startDirectory) {
  const require = createRequire(path.join(startDirectory, 'resolve-from-here.js'));
  try {
    return realpathSync(path.dirname(require.resolve(`${packageName}/package.json`)));
  } catch {
    return null;
  }
}

/**
 * The nearest directory upwards that has a package.json.
 * @param {string} [startDirectory]
 * @returns {string} `startDirectory` itself when there is none
 */
export function findProjectDirectory(startDirectory = process.cwd()) {
  let directory = path.resolve(startDirectory);
  for (;;) {
    if (existsSync(path.join(directory, 'package.json'))) return directory;
    const parent = path.dirname(directory);
    if (parent === directory) return path.resolve(startDirectory);
    directory = parent;
  }
}

/**
 * tfjs-node looks for its addon in `lib/napi-vN`, N being the newest version that both it and Node know.
 * @param {TfjsNodePackage} tfjsNode
 * @param {number} nodeApiVersion what this Node offers
 * @returns {number}
 */
export function addonNodeApiVersion(tfjsNode, nodeApiVersion) {
  return Math.max(0, ...tfjsNode.nodeApiVersions.filter(version => version <= nodeApiVersion));
}

/**
 * Relative to the package's directory.
 * @param {number} nodeApiVersion
 * @returns {string}
 */
export function addonPath(nodeApiVersion) {
  return path.join('lib', `napi-v${nodeApiVersion}`, 'tfjs_binding.node');
}

/**
 * The addon that tfjs-node would load in this Node, whether or not the file is there.
 * @param {TfjsNodePackage} tfjsNode
 * @param {number} [nodeApiVersion]
 * @returns {string}
 */
export function locateAddon(tfjsNode, nodeApiVersion = Number(process.versions.napi)) {
  return path.join(tfjsNode.directory, addonPath(addonNodeApiVersion(tfjsNode, nodeApiVersion)));
}

/**
 * Where Millrace's own kernels are, or would be, for the copy that the set-up works on; null without one.
 * @returns {string | null}
 */
export function locateKernels() {
  const tfjsNode = locateTfjsNode();
  try {
    return tfjsNode && kernelsFor(locateAddon(tfjsNode));
  } catch {
    // Without their sources, as in somebody's bundle, nobody knows which kernels would be theirs.
    return null;
  }
}

/**
 * Where the set-up puts Millrace's own kernels: beside the addon, from where they find the same TensorFlow. Those of another Millrace
 * have another name, or lack what this one calls.
 * @param {string} addon
 * @returns {string}
 */
export function kernelsFor(addon) {
  return path.join(path.dirname(addon), `millrace_kernels-${kernelSourceKey()}.node`);
}
