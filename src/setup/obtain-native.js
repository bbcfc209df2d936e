/**
 * Tries what might give native TensorFlow, one after another, until a child process has trained with it: what already
 * stands in the package, then each way. Every try prints one line and becomes an entry of the report.
 */
import path from 'node:path';
import { removeLeftOvers } from './cache.js';
import { messageOf, SetupError } from './errors.js';
import { installNative, readOrigin, removeNative } from './install-native.js';
import { addonNodeApiVersion, addonPath } from './locate.js';
import { withLock } from './lock.js';
import { stampFiles } from './report.js';

/**
 * @typedef {object} Work Everything one run of the set-up shares.
 * @property {import('./ways/way.js').WayContext} context
 * @property {readonly import('./ways/way.js').Way[]} ways
 * @property {import('./probe.js').Probe} probe
 * @property {import('./report.js').Attempt[]} attempts
 */

/**
 * @param {Work} work
 * @returns {Promise<import('./report.js').NativeFacts | null>}
 */
export async function obtainNative(work) {
  const { context } = work;
  const existing = await checkExisting(work);
  if (existing !== null) return existing;
  let waited = false;
  /** @param {string} owner */
  const onWait = owner => {
    waited = true;
    context.log(`waiting for another set-up (${owner})`);
  };
  const lock = path.join(context.cacheDirectory, 'lock');
  try {
    return await withLock(lock, () => tryWays(work, waited), { onWait });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    work.attempts.push(failedAttempt('the cache', error, 0));
    context.log(error.message);
    return null;
  }
}

/**
 * @param {Work} work
 * @param {boolean} othersWorked another set-up has held the lock, perhaps for this very package
 * @returns {Promise<import('./report.js').NativeFacts | null>}
 */
async function tryWays(work, othersWorked) {
  const byOthers = othersWorked ? await checkExisting(work) : null;
  if (byOthers !== null) return byOthers;
  await removeLeftOvers(work.context.cacheDirectory);
  for (const way of work.ways) {
    const native = await tryWay(work, way);
    if (native !== null) return native;
  }
  return null;
}

/**
 * @param {Work} work
 * @returns {Promise<import('./report.js').NativeFacts | null>}
 */
async function checkExisting({ context, probe, attempts }) {
  const startMs = performance.now();
  const found = await probe(context.tfjsNode.directory);
  const durationMs = performance.now() - startMs;
  if (!found.ok) {
    context.log(`does not load yet: ${found.reason}`);
    attempts.push({ way: 'already there', ok: false, detail: found.reason, remedy: null, durationMs });
    return null;
  }
  const native = nativeFacts(context, found);
  const detail = describeNative(native);
  context.log(`already loads: ${detail} (checked in ${seconds(durationMs)})`);
  attempts.push({ way: 'already there', ok: true, detail, remedy: null, durationMs });
  return native;
}

/**
 * @param {Work} work
 * @param {import('./ways/way.js').Way} way
 * @returns {Promise<import('./report.js').NativeFacts | null>}
 */
async function tryWay({ context, probe, attempts }, way) {
  const startMs = performance.now();
  const elapsedMs = () => performance.now() - startMs;
  try {
    const entry = await way.obtain(context);
    const how = await installNative(entry, context.tfjsNode);
    const found = await probe(context.tfjsNode.directory);
    if (!found.ok) {
      await removeNative(context.tfjsNode);
      await way.forget(context);
      throw new SetupError(`what it gave does not work: ${found.reason}`);
    }
    const native = nativeFacts(context, found);
    const detail = `${describeNative(native)}, ${how} into ${context.tfjsNode.directory}`;
    const what = `${describeNative(native)} (${entry.facts['madeFrom']})`;
    context.log(`${way.name}: done in ${seconds(elapsedMs())}: ${what}`);
    attempts.push({ way: way.name, ok: true, detail, remedy: null, durationMs: elapsedMs() });
    return native;
  } catch (error) {
    // Anything may go wrong on somebody's machine (a full disk, say); the next way may still work.
    if (way.isShortcut) return null;
    context.log(`${way.name}: failed after ${seconds(elapsedMs())}: ${messageOf(error)}`);
    attempts.push(failedAttempt(way.name, error, elapsedMs()));
    return null;
  }
}

/**
 * @param {import('./ways/way.js').WayContext} context
 * @param {import('./probe.js').WorkingProbe} found
 * @returns {import('./report.js').NativeFacts}
 */
function nativeFacts({ tfjsNode, machine }, found) {
  const origin = readOrigin(tfjsNode);
  const addon = path.join(
    tfjsNode.directory,
    addonPath(addonNodeApiVersion(tfjsNode, machine.nodeApiVersion)),
  );
  return {
    origin: /** @type {import('./report.js').Origin} */ (origin?.['origin'] ?? 'already there'),
    madeFrom: origin?.['madeFrom'] ?? null,
    tensorflowVersion: found.tensorflowVersion,
    attributeNamesLocked: origin?.['attributeNamesLocked'] === 'yes',
    stamp: stampFiles([addon, ...found.libraries]),
  };
}

/**
 * @param {import('./report.js').NativeFacts} native
 * @returns {string}
 */
export function describeNative({ tensorflowVersion, origin, attributeNamesLocked }) {
  const made = {
    'already there': 'installed by other means',
    'install script': 'prebuilt',
    'source build': 'built from source',
  };
  return `TensorFlow ${tensorflowVersion}, ${made[origin]}${attributeNamesLocked ? ' with locked attribute names' : ''}`;
}

/**
 * @param {string} way
 * @param {unknown} error
 * @param {number} durationMs
 * @returns {import('./report.js').Attempt}
 */
export function failedAttempt(way, error, durationMs) {
  const remedy = error instanceof SetupError ? error.remedy : null;
  return { way, ok: false, detail: messageOf(error), remedy, durationMs };
}

/** @param {number} ms */
const seconds = ms => `${(ms / 1000).toFixed(1)} s`;
