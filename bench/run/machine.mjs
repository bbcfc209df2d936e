// @ts-check
/** What a figure depends on besides the program: machine, versions, date. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import { prepareAddon } from '#internal/backends/tensorflow/index.js';
import { CORES, PYTHON } from './systems.mjs';

/**
 * @typedef {object} Facts
 * @property {string} date
 * @property {string} cpu
 * @property {number} cores
 * @property {number} memoryGib
 * @property {string} platform
 * @property {Readonly<Record<string, string>>} versions by name; 'absent' for what is not there
 */

/**
 * Loads TensorFlow into this process to ask for its version, with one thread: not for a process that still has to start peers.
 * @returns {Facts}
 */
export function describeRun() {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: CORES,
    memoryGib: Math.round(os.totalmem() / 2 ** 30),
    platform: `${os.platform()} ${os.arch()}`,
    versions: {
      Node: process.version.slice(1),
      '@tensorflow/tfjs': packageVersion('@tensorflow/tfjs'),
      '@tensorflow/tfjs-node': packageVersion('@tensorflow/tfjs-node'),
      TensorFlow: orAbsent(() => prepareAddon().version),
      PyTorch: orAbsent(() =>
        execFileSync(PYTHON, ['-c', "import importlib.metadata as m; print(m.version('torch'))"], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        }).trim(),
      ),
    },
  };
}

/** @param {string} name */
function packageVersion(name) {
  return orAbsent(() => {
    const file = createRequire(import.meta.url).resolve(`${name}/package.json`);
    return JSON.parse(readFileSync(file, 'utf8')).version;
  });
}

/** @param {() => string} ask */
function orAbsent(ask) {
  try {
    return ask();
  } catch {
    return 'absent';
  }
}
