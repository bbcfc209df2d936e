/**
 * Builds tfjs-node's addon from the C++ source in its npm package, against the TensorFlow libraries that PyPI's wheel
 * holds. Everything that can fail without a download is checked before the download.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { prepareAddonSource } from '../build/addon-source.js';
import { compileAddon, findCompiler } from '../build/compiler.js';
import { findNodeHeaders } from '../build/node-headers.js';
import { findPython } from '../build/python.js';
import { cachedLibraries, downloadLibraries, TENSORFLOW_VERSION, wheelFor } from '../build/wheel.js';
import { dropCacheEntry, withWorkDirectory, writeCacheEntry } from '../cache.js';
import { messageOf, SetupError } from '../errors.js';
import { addonNodeApiVersion, addonPath } from '../locate.js';
import { placeTree } from '../place-tree.js';
import { nativeEntryName } from './way.js';

/** To be raised when the patch or the compiler's arguments change: then cached addons are built again. */
const RECIPE_VERSION = 1;

/** @type {import('./way.js').Way} */
export const sourceBuildWay = {
  name: 'building its addon from source',
  obtain,
  forget: context => dropCacheEntry(context.cacheDirectory, sourceBuildEntryName(context)),
};

/** @param {import('./way.js').WayContext} context */
export const sourceBuildEntryName = context =>
  nativeEntryName(context, `source${RECIPE_VERSION}-tensorflow-${TENSORFLOW_VERSION}`);

/** @param {import('./way.js').WayContext} context */
async function obtain(context) {
  const { tfjsNode, machine, cacheDirectory, env } = context;
  const wheel = wheelFor(machine);
  const cached = await cachedLibraries(context);
  const [compiler, headers, python] = await allThatIsNeeded([
    findCompiler(env),
    findNodeHeaders(env),
    cached === null ? findPython(env) : Promise.resolve(''),
  ]);

  return await withWorkDirectory(cacheDirectory, async workDirectory => {
    const sources = await prepareAddonSource(tfjsNode, path.join(workDirectory, 'binding'));
    const libraries = cached ?? (await downloadLibraries(context, wheel, python));
    return await writeCacheEntry(cacheDirectory, sourceBuildEntryName(context), async tree => {
      const nodeApiVersion = addonNodeApiVersion(tfjsNode, machine.nodeApiVersion);
      const addon = path.join(tree, addonPath(nodeApiVersion));
      const libraryFiles = libraries.files.filter(file => file.path.startsWith('lib/'));
      await mkdir(path.dirname(addon), { recursive: true });
      await compileAddon({
        compiler,
        env,
        sources,
        includeDirectories: [headers.directory, path.join(libraries.directory, 'include')],
        libraries: libraryFiles.map(file => path.join(libraries.directory, file.path)),
        nodeApiVersion,
        addon,
      });
      await placeTree({ directory: libraries.directory, files: libraryFiles }, path.join(tree, 'deps'));
      return /** @type {const} */ ({
        origin: 'source build',
        attributeNamesLocked: 'yes',
        madeFrom: `the wheel ${wheel.distribution} ${TENSORFLOW_VERSION}, with ${compiler.description}, headers of ${headers.origin}`,
      });
    });
  });
}

/**
 * Like `Promise.all`, but names everything that is missing at once, so that the user need not install one thing only
 * to be told about the next.
 * @template A, B, C
 * @param {[Promise<A>, Promise<B>, Promise<C>]} needs
 * @returns {Promise<[A, B, C]>}
 */
async function allThatIsNeeded(needs) {
  const outcomes = await Promise.allSettled(needs);
  const reasons = outcomes.filter(outcome => outcome.status === 'rejected').map(({ reason }) => reason);
  if (reasons.length === 0) return await Promise.all(needs);
  const remedies = reasons.map(reason => (reason instanceof SetupError ? reason.remedy : null));
  throw new SetupError(reasons.map(messageOf).join('; '), {
    remedy: remedies.filter(remedy => remedy !== null).join('; ') || undefined,
    cause: reasons[0],
  });
}
