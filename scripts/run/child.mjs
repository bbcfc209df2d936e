// @ts-check
/**
 * Runs one command in the foreground: the terminal is its own, and the signals that reach us reach it. A terminal sends
 * Ctrl-C to both of us by itself; passing that on as well would look like an impatient second one.
 */
import { spawn } from 'node:child_process';
import os from 'node:os';

const FORWARDED_SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/**
 * @typedef {object} ChildEnd
 * @property {number} exitCode as a shell would report it: 128 + signal number when a signal ended the command
 * @property {NodeJS.Signals | null} signal
 */

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<ChildEnd>}
 */
export function runInForeground(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: 'inherit' });
    /** @param {NodeJS.Signals} signal */
    const forward = signal => {
      if (signal !== 'SIGINT' || !hasTerminal()) child.kill(signal);
    };
    for (const signal of FORWARDED_SIGNALS) process.on(signal, forward);
    const stopForwarding = () => {
      for (const signal of FORWARDED_SIGNALS) process.off(signal, forward);
    };
    child.once('error', error => {
      stopForwarding();
      reject(error);
    });
    child.once('exit', (exitCode, signal) => {
      stopForwarding();
      resolve({ exitCode: exitCode ?? 128 + (os.constants.signals[signal ?? 'SIGTERM'] ?? 0), signal });
    });
  });
}

function hasTerminal() {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
}
