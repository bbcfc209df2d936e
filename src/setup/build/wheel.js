/**
 * TensorFlow's C++ libraries and C headers out of a Python wheel. Python is only the downloader and unpacker: the wheel
 * is fetched for a fixed Python version and platform and never installed, so any Python 3 with pip will do.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { readCacheEntry, withWorkDirectory, writeCacheEntry } from '../cache.js';
import { SetupError } from '../errors.js';
import { failureLine, runCommand } from '../run-command.js';

export const TENSORFLOW_VERSION = '2.15.1';

const DOWNLOAD_TIMEOUT_MS = 20 * 60_000;
const UNPACK_TIMEOUT_MS = 5 * 60_000;
/** pip's own limit for a connection that does not answer, and how often it tries again. */
const PIP_NETWORK_ARGS = ['--timeout', '15', '--retries', '2'];

const LIBRARY_NAMES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
/** The addon includes no more than this, out of twelve thousand headers. */
const HEADER_FOLDERS = ['tensorflow/c/', 'tensorflow/core/platform/', 'tsl/c/', 'tsl/platform/'];

const UNPACK_PROGRAM = `
import sys, zipfile
wheel, target, *prefixes = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith(tuple(prefixes)):
            archive.extract(name, target)
`;

/**
 * @typedef {object} Wheel
 * @property {string} distribution the name on PyPI
 * @property {string} platformTag
 */

/** @type {Readonly<Record<string, Wheel>>} */
const WHEELS = {
  'linux-x64': { distribution: 'tensorflow-cpu', platformTag: 'manylinux_2_17_x86_64' },
  // The same libraries; on this platform PyPI has them under another name.
  'linux-arm64': { distribution: 'tensorflow-cpu-aws', platformTag: 'manylinux_2_17_aarch64' },
};

/**
 * @param {import('../machine.js').Machine} machine
 * @returns {Wheel}
 */
export function wheelFor(machine) {
  const platform = `${machine.platform}-${machine.arch}`;
  const wheel = WHEELS[platform];
  if (wheel === undefined) {
    throw new SetupError(`there is no TensorFlow wheel to build against for ${platform}`, {
      remedy: `use Linux on ${Object.keys(WHEELS).join(' or ')}`,
    });
  }
  if (machine.libc === 'musl') {
    throw new SetupError('the TensorFlow wheels need glibc, and this system has musl', {
      remedy: 'use a distribution with glibc, such as Debian (the node:20 image rather than node:20-alpine)',
    });
  }
  return wheel;
}

/** @param {import('../ways/way.js').WayContext} context */
const entryName = ({ machine }) => `libtensorflow-${TENSORFLOW_VERSION}-${machine.platform}-${machine.arch}`;

/**
 * @param {import('../ways/way.js').WayContext} context
 * @returns {Promise<import('../cache.js').CacheEntry | null>} what an earlier download has left in the cache
 */
export function cachedLibraries(context) {
  return readCacheEntry(context.cacheDirectory, entryName(context));
}

/**
 * @param {import('../ways/way.js').WayContext} context
 * @param {Wheel} wheel
 * @param {string} python
 * @returns {Promise<import('../cache.js').CacheEntry>} with `lib/` and `include/`
 */
export async function downloadLibraries(context, wheel, python) {
  const { cacheDirectory, env, log } = context;
  return await withWorkDirectory(cacheDirectory, async workDirectory => {
    log(`downloading ${wheel.distribution} ${TENSORFLOW_VERSION} with pip (about 210 MB, once)`);
    const wheelFile = await downloadWheel(python, wheel, workDirectory, env);
    const unpacked = path.join(workDirectory, 'unpacked');
    await unpackWheel(python, wheelFile, unpacked, env);
    return await writeCacheEntry(cacheDirectory, entryName(context), async tree => {
      await mkdir(path.join(tree, 'lib'));
      for (const library of LIBRARY_NAMES) {
        await rename(path.join(unpacked, 'tensorflow', library), path.join(tree, 'lib', library));
      }
      await rename(path.join(unpacked, 'tensorflow', 'include'), path.join(tree, 'include'));
      return { madeFrom: path.basename(wheelFile) };
    });
  });
}

/**
 * @param {string} python
 * @param {Wheel} wheel
 * @param {string} workDirectory
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>}
 */
async function downloadWheel(python, wheel, workDirectory, env) {
  const target = path.join(workDirectory, 'wheel');
  const temporary = path.join(workDirectory, 'temporary');
  await mkdir(target);
  await mkdir(temporary);
  const args = [
    ...['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--no-cache-dir', '--quiet'],
    ...PIP_NETWORK_ARGS,
    ...['--python-version', '3.11', '--platform', wheel.platformTag, '--dest', target],
    `${wheel.distribution}==${TENSORFLOW_VERSION}`,
  ];
  const result = await runCommand(python, args, {
    timeoutMs: DOWNLOAD_TIMEOUT_MS,
    // An interrupted download then lies in the working directory and is cleaned up with it.
    env: { ...env, TMPDIR: temporary, PIP_DISABLE_PIP_VERSION_CHECK: '1' },
  });
  const file = (await readdir(target)).find(name => name.endsWith('.whl'));
  if (!result.ok || file === undefined) {
    throw new SetupError(
      `pip could not download ${wheel.distribution} ${TENSORFLOW_VERSION}: ${failureLine(result)}`,
      {
        remedy:
          'check that pip reaches a package index (its settings and proxy variables are used as they are)',
      },
    );
  }
  return path.join(target, file);
}

/**
 * @param {string} python
 * @param {string} wheelFile
 * @param {string} target
 * @param {NodeJS.ProcessEnv} env
 */
async function unpackWheel(python, wheelFile, target, env) {
  const prefixes = [
    ...LIBRARY_NAMES.map(name => `tensorflow/${name}`),
    ...HEADER_FOLDERS.map(folder => `tensorflow/include/${folder}`),
  ];
  const result = await runCommand(python, ['-c', UNPACK_PROGRAM, wheelFile, target, ...prefixes], {
    timeoutMs: UNPACK_TIMEOUT_MS,
    env,
  });
  const missing = await missingLibraries(target);
  if (result.ok && missing.length === 0) return;
  // A wheel that does not unpack was cut short on its way; the next run downloads it again.
  await rm(wheelFile, { force: true });
  throw new SetupError(
    `${path.basename(wheelFile)} cannot be unpacked: ${
      result.ok ? `it lacks ${missing.join(', ')}` : failureLine(result)
    }`,
    { remedy: 'run the set-up again; it downloads the wheel anew' },
  );
}

/**
 * @param {string} unpacked
 * @returns {Promise<string[]>}
 */
async function missingLibraries(unpacked) {
  /** @type {string[]} */
  const names = await readdir(path.join(unpacked, 'tensorflow')).catch(() => []);
  return [...LIBRARY_NAMES, 'include'].filter(name => !names.includes(name));
}
