/**
 * tfjs-node 4.22 calls `util.isNullOrUndefined` and `util.isArray`; Node 23 removed the first and its siblings.
 * This puts the removed functions back on `node:util` before tfjs-node loads. It adds only what is missing, so on
 * older versions of Node it does nothing. To be deleted when tfjs-node no longer calls them.
 */
import util from 'node:util';

/**
 * The functions as Node 22 had them (lib/util.js).
 * @type {Readonly<Record<string, (value: any) => boolean>>}
 */
const removedFunctions = {
  isArray: Array.isArray,
  isBoolean: value => typeof value === 'boolean',
  isBuffer: Buffer.isBuffer,
  isDate: util.types.isDate,
  isError: value => util.types.isNativeError(value) || value instanceof Error,
  isFunction: value => typeof value === 'function',
  isNull: value => value === null,
  isNullOrUndefined: value => value === null || value === undefined,
  isNumber: value => typeof value === 'number',
  isObject: value => value !== null && typeof value === 'object',
  isPrimitive: value => value === null || (typeof value !== 'object' && typeof value !== 'function'),
  isRegExp: util.types.isRegExp,
  isString: value => typeof value === 'string',
  isSymbol: value => typeof value === 'symbol',
  isUndefined: value => value === undefined,
};

/**
 * Call this in every thread, before the first `require('@tensorflow/tfjs-node')` in it: worker threads have a
 * `node:util` of their own.
 * @param {Record<string, any>} [target] the module to complete; tests pass another
 * @returns {string[]} the names that were missing and are there now
 */
export function provideRemovedNodeUtilities(target = util) {
  const missing = Object.keys(removedFunctions).filter(name => typeof target[name] !== 'function');
  for (const name of missing) target[name] = removedFunctions[name];
  return missing;
}
