/**
 * Finds out whether an installed tfjs-node works, by using it in a child process: a missing library, an instruction
 * that this processor lacks or a crash then end that process and not this one.
 */
import { fileURLToPath } from 'node:url';
import { failureLine, runCommand } from './run-command.js';

export const PROBE_MARK = 'millrace-probe:';
export const PROBE_PACKAGE_VARIABLE = 'MILLRACE_PROBE_PACKAGE';
export const PROBE_KERNELS_VARIABLE = 'MILLRACE_PROBE_KERNELS';

const PROBE_TIMEOUT_MS = 60_000;

/**
 * @typedef {{ ok: true, tensorflowVersion: string, libraries: readonly string[] }} WorkingProbe
 * @typedef {{ ok: false, reason: string }} FailedProbe
 * @typedef {(packageDirectory: string) => Promise<WorkingProbe | FailedProbe>} Probe
 * @typedef {(packageDirectory: string, kernels: string) => Promise<WorkingProbe | FailedProbe>} KernelProbe
 */

/**
 * @param {string} packageDirectory
 * @param {{ timeoutMs?: number }} [options]
 * @returns {Promise<WorkingProbe | FailedProbe>}
 */
export async function probeTfjsNode(packageDirectory, options = {}) {
  return await probeWith('./probe-child.js', { [PROBE_PACKAGE_VARIABLE]: packageDirectory }, options);
}

/**
 * Whether Millrace's kernels work with an installed tfjs-node.
 * @param {string} packageDirectory
 * @param {string} kernels the module, beside the addon
 * @returns {Promise<WorkingProbe | FailedProbe>}
 */
export async function probeKernels(packageDirectory, kernels) {
  const env = { [PROBE_PACKAGE_VARIABLE]: packageDirectory, [PROBE_KERNELS_VARIABLE]: kernels };
  return await probeWith('./probe-kernels-child.js', env);
}

/**
 * @param {string} child
 * @param {NodeJS.ProcessEnv} env what it is told
 * @param {{ timeoutMs?: number }} [options]
 * @returns {Promise<WorkingProbe | FailedProbe>}
 */
async function probeWith(child, env, options = {}) {
  const childPath = fileURLToPath(new URL(child, import.meta.url));
  const result = await runCommand(process.execPath, [childPath], {
    timeoutMs: options.timeoutMs ?? PROBE_TIMEOUT_MS,
    env: {
      ...process.env,
      ...env,
      TF_CPP_MIN_LOG_LEVEL: process.env['TF_CPP_MIN_LOG_LEVEL'] ?? '2',
    },
  });
  const line = result.stdout.split('\n').find(text => text.startsWith(PROBE_MARK));
  if (result.ok && line !== undefined) return { ok: true, ...JSON.parse(line.slice(PROBE_MARK.length)) };
  if (result.signal !== null && result.endedBecause === null) {
    return { ok: false, reason: `crashed with ${result.signal}${explainSignal(result.signal)}` };
  }
  return { ok: false, reason: shorten(failureLine(result)) };
}

/** @param {NodeJS.Signals} signal */
function explainSignal(signal) {
  if (signal === 'SIGILL') return ' (this processor lacks instructions that the library was built for)';
  if (signal === 'SIGKILL') return ' (the system may have run out of memory)';
  return '';
}

/**
 * tfjs-node's own message about a missing addon ends in advice that would not help here.
 * @param {string} reason
 */
function shorten(reason) {
  return reason.replace(
    /^Error: The Node\.js native addon module \(tfjs_binding\.node\).*/,
    'its native addon is not there',
  );
}
