/**
 * Runs one command of somebody else's (pip, a compiler, an install script) with its output captured and its time
 * bounded. The command gets a process group of its own, so that a time-out also ends its grandchildren.
 */
import { spawn } from 'node:child_process';
import { onEarlyEnd } from './early-end.js';

/**
 * @typedef {object} ProgressWatch Ends a command that hangs on a network which neither answers nor refuses.
 * @property {() => Promise<number>} measure any number that changes while the command makes progress
 * @property {number} firstChangeMs how long the first change may take
 * @property {number} nextChangeMs how long each later one may take
 */

/**
 * @typedef {object} CommandOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {number} timeoutMs for the whole command
 * @property {ProgressWatch} [watch]
 */

/**
 * @typedef {object} CommandResult
 * @property {boolean} ok exit code 0
 * @property {number | null} exitCode
 * @property {NodeJS.Signals | null} signal
 * @property {string | null} endedBecause why this function ended the command itself
 * @property {string} stdout
 * @property {string} stderr
 * @property {number} durationMs
 */

const WATCH_INTERVAL_MS = 500;
const OUTPUT_LIMIT_CHARS = 1_000_000;

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {CommandOptions} options
 * @returns {Promise<CommandResult>} also for failures; rejects never
 */
export function runCommand(command, args, options) {
  const startMs = performance.now();
  return new Promise(resolve => {
    /** @type {Omit<CommandResult, 'ok' | 'durationMs'>} */
    const result = { exitCode: null, signal: null, endedBecause: null, stdout: '', stderr: '' };
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    const forget = onEarlyEnd(() => killGroup(child));
    /** @param {string} reason */
    const end = reason => {
      result.endedBecause ??= reason;
      killGroup(child);
    };
    const timer = setTimeout(
      () => end(`it took longer than ${options.timeoutMs / 1000} s`),
      options.timeoutMs,
    );
    const stopWatching = options.watch === undefined ? () => {} : watchProgress(options.watch, end);

    const settle = () => {
      clearTimeout(timer);
      stopWatching();
      forget();
      resolve({ ...result, ok: result.exitCode === 0, durationMs: performance.now() - startMs });
    };
    child.stdout.setEncoding('utf8').on('data', text => {
      result.stdout = (result.stdout + text).slice(-OUTPUT_LIMIT_CHARS);
    });
    child.stderr.setEncoding('utf8').on('data', text => {
      result.stderr = (result.stderr + text).slice(-OUTPUT_LIMIT_CHARS);
    });
    child.once('error', error => {
      result.stderr += `\nError: ${error.message}`;
      settle();
    });
    child.once('close', (exitCode, signal) => {
      result.exitCode = exitCode;
      result.signal = signal;
      settle();
    });
  });
}

/**
 * One line out of everything a failed command printed: the first line that names an error, else the last one.
 * @param {CommandResult} result
 * @returns {string}
 */
export function failureLine(result) {
  if (result.endedBecause !== null) return `ended because ${result.endedBecause}`;
  const lines = `${result.stderr}\n${result.stdout}`
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
  const naming = lines.find(line => /\b(fatal error|error|[A-Za-z]*Error)\b(?: \[\w+\])?\s*:/i.test(line));
  const line = (naming ?? lines.at(-1) ?? '').slice(0, 300);
  if (line !== '') return line;
  return result.signal === null
    ? `ended with exit code ${result.exitCode}`
    : `was killed by ${result.signal}`;
}

/**
 * @param {ProgressWatch} watch
 * @param {(reason: string) => void} end
 * @returns {() => void} stops watching
 */
function watchProgress(watch, end) {
  let lastValue = 0;
  let lastChangeMs = performance.now();
  let changed = false;
  let measuring = false;
  const timer = setInterval(async () => {
    if (measuring) return;
    measuring = true;
    const value = await watch.measure().catch(() => lastValue);
    measuring = false;
    if (value !== lastValue) {
      lastValue = value;
      lastChangeMs = performance.now();
      changed = true;
      return;
    }
    const allowedMs = changed ? watch.nextChangeMs : watch.firstChangeMs;
    if (performance.now() - lastChangeMs > allowedMs) end(`nothing arrived for ${allowedMs / 1000} s`);
  }, WATCH_INTERVAL_MS);
  return () => clearInterval(timer);
}

/** @param {import('node:child_process').ChildProcess} child */
function killGroup(child) {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It ended by itself in the meantime.
  }
}
