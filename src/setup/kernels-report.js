/**
 * What became of Millrace's kernels, beside where they stand: it vanishes together with them, and with it what is remembered of a
 * failure. Another build of TensorFlow or of Millrace has another key.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { locateKernels } from './locate.js';

/**
 * @typedef {object} KernelsReport
 * @property {string} key of what they were made of
 * @property {boolean} ok
 * @property {string} detail what they were made with, or why they are not there
 * @property {string | null} remedy what the user can do about a failure
 * @property {number} durationMs how long it took
 * @property {string} writtenAt ISO 8601
 */

/**
 * @param {string | null} [file] the module, whether or not it is there
 * @returns {KernelsReport | null}
 */
export function readKernelsReport(file = locateKernels()) {
  if (file === null) return null;
  try {
    return JSON.parse(readFileSync(reportOf(file), 'utf8'));
  } catch {
    return null;
  }
}

/**
 * @param {string} file
 * @param {Omit<KernelsReport, 'writtenAt'>} content
 */
export function writeKernelsReport(file, content) {
  /** @type {KernelsReport} */
  const report = { ...content, writtenAt: new Date().toISOString() };
  try {
    writeFileSync(reportOf(file), `${JSON.stringify(report, null, 2)}\n`);
  } catch {
    // Somebody else's directory. What cannot be remembered is found out anew by the next set-up.
  }
}

/** @param {string} file */
const reportOf = file => file.replace(/\.node$/, '.json');
