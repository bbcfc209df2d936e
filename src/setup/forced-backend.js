/**
 * `MILLRACE_BACKEND`: the user's word on which backend is used. Empty and `auto` mean "the first that loads".
 */
import { SetupError } from './errors.js';

/** @typedef {'tensorflow' | 'wasm' | 'cpu'} BackendName */

export const BACKEND_VARIABLE = 'MILLRACE_BACKEND';

/**
 * In the order in which `auto` tries them.
 * @type {readonly BackendName[]}
 */
export const BACKEND_NAMES = ['tensorflow', 'wasm', 'cpu'];

/**
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {BackendName | null} null when nothing is forced
 */
export function forcedBackend(env = process.env) {
  const value = env[BACKEND_VARIABLE];
  if (value === undefined || value === '' || value === 'auto') return null;
  const name = BACKEND_NAMES.find(known => known === value);
  if (name === undefined) {
    throw new SetupError(
      `${BACKEND_VARIABLE} must be one of auto, ${BACKEND_NAMES.join(', ')}; it is ${JSON.stringify(value)}`,
    );
  }
  return name;
}
