/**
 * What an earlier set-up obtained by one of the other ways and kept outside `node_modules`. Not a way of its own for the
 * user: after `npm ci` it puts back what had already been working.
 */
import { dropCacheEntry, readCacheEntry } from '../cache.js';
import { SetupError } from '../errors.js';
import { installScriptEntryName } from './install-script.js';
import { sourceBuildEntryName } from './source-build.js';

/** @type {import('./way.js').Way} */
export const cachedWay = {
  name: 'putting it back from the cache',
  isShortcut: true,
  async obtain(context) {
    for (const name of entryNames(context)) {
      const entry = await readCacheEntry(context.cacheDirectory, name);
      if (entry !== null) return entry;
    }
    throw new SetupError(`nothing in ${context.cacheDirectory} fits this machine yet`);
  },
  async forget(context) {
    for (const name of entryNames(context)) await dropCacheEntry(context.cacheDirectory, name);
  },
};

/** @param {import('./way.js').WayContext} context */
const entryNames = context => [installScriptEntryName(context), sourceBuildEntryName(context)];
