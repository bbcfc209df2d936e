/**
 * One set-up at a time per cache (and one install or build at a time per clone). The lock is a directory, because
 * making one is atomic everywhere; inside stands who holds it. A lock whose owner is dead is taken over.
 *
 * The lock saves work, it is not what keeps files whole: everything is written beside its place and renamed. So the
 * unlikely race of two processes taking over the same dead lock costs a second build and nothing else.
 */
import { rmSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onEarlyEnd } from './early-end.js';
import { messageOf, SetupError } from './errors.js';

const OWNER_NAME = 'owner.json';

/**
 * @typedef {object} LockTimes
 * @property {number} pollMs
 * @property {number} heartbeatMs how often the holder touches its lock
 * @property {number} silentAfterMs a lock untouched for so long has no living owner
 * @property {number} giveUpAfterMs
 */

/** @type {LockTimes} */
const DEFAULT_TIMES = { pollMs: 100, heartbeatMs: 2_000, silentAfterMs: 30_000, giveUpAfterMs: 20 * 60_000 };

/**
 * @template T
 * @param {string} lockDirectory
 * @param {() => Promise<T>} work
 * @param {{ onWait?: (owner: string) => void, times?: Partial<LockTimes> }} [options]
 * @returns {Promise<T>}
 */
export async function withLock(lockDirectory, work, options = {}) {
  const times = { ...DEFAULT_TIMES, ...options.times };
  await acquire(lockDirectory, times, options.onWait ?? (() => {}));
  const forget = onEarlyEnd(() => rmSync(lockDirectory, { recursive: true, force: true }));
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(lockDirectory, now, now).catch(() => {});
  }, times.heartbeatMs);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    forget();
    await rm(lockDirectory, { recursive: true, force: true });
  }
}

/**
 * @param {string} lockDirectory
 * @param {LockTimes} times
 * @param {(owner: string) => void} onWait
 */
async function acquire(lockDirectory, times, onWait) {
  const giveUpAtMs = performance.now() + times.giveUpAfterMs;
  let waited = false;
  for (;;) {
    if (await tryAcquire(lockDirectory)) return;
    const owner = await describeOwner(lockDirectory, times);
    if (!owner.alive) {
      await takeAway(lockDirectory);
      continue;
    }
    if (!waited) onWait(owner.name);
    waited = true;
    if (performance.now() > giveUpAtMs) {
      throw new SetupError(
        `another set-up (${owner.name}) has held ${lockDirectory} for more than ${times.giveUpAfterMs / 1000} s`,
        { remedy: 'end that process, or remove the directory if it is gone' },
      );
    }
    await sleep(times.pollMs);
  }
}

/**
 * @param {string} lockDirectory
 * @returns {Promise<boolean>}
 */
async function tryAcquire(lockDirectory) {
  try {
    await mkdir(path.dirname(lockDirectory), { recursive: true });
    await mkdir(lockDirectory);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw new SetupError(`cannot make the lock ${lockDirectory}: ${messageOf(error)}`, {
      remedy: 'set XDG_CACHE_HOME to a directory that can be written',
      cause: error,
    });
  }
  await writeFile(
    path.join(lockDirectory, OWNER_NAME),
    JSON.stringify({ pid: process.pid, host: os.hostname() }),
  );
  return true;
}

/**
 * @param {string} lockDirectory
 * @param {LockTimes} times
 * @returns {Promise<{ name: string, alive: boolean }>}
 */
async function describeOwner(lockDirectory, times) {
  /** @type {{ pid?: number, host?: string }} */
  let owner = {};
  try {
    owner = JSON.parse(await readFile(path.join(lockDirectory, OWNER_NAME), 'utf8'));
  } catch {
    // Its maker has not written it yet, or died in between; the heartbeat decides.
  }
  const name = owner.pid === undefined ? 'unknown' : `process ${owner.pid} on ${owner.host}`;
  if (owner.pid !== undefined && owner.host === os.hostname() && !isProcessRunning(owner.pid)) {
    return { name, alive: false };
  }
  try {
    const silentMs = Date.now() - (await stat(lockDirectory)).mtimeMs;
    return { name, alive: silentMs < times.silentAfterMs };
  } catch {
    // Released in the meantime.
    return { name, alive: false };
  }
}

/**
 * @param {number} pid of a process on this machine
 * @returns {boolean}
 */
export function isProcessRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * Renaming first, so that of several waiters only one removes it.
 * @param {string} lockDirectory
 */
async function takeAway(lockDirectory) {
  const aside = `${lockDirectory}.dead-${process.pid}-${Date.now()}`;
  try {
    await rename(lockDirectory, aside);
  } catch {
    return;
  }
  await rm(aside, { recursive: true, force: true });
}
