/** Finds a Python 3 with pip. It only downloads and unpacks a wheel, so its version does not matter. */
import { SetupError } from '../errors.js';
import { runCommand } from '../run-command.js';

const CHECK_TIMEOUT_MS = 20_000;

/**
 * @param {NodeJS.ProcessEnv} env `PYTHON` comes first, as node-gyp has it
 * @returns {Promise<string>}
 */
export async function findPython(env) {
  const candidates = [env['PYTHON'] ?? '', 'python3', 'python'].filter(command => command !== '');
  /** @type {string | null} */
  let withoutPip = null;
  for (const command of candidates) {
    const result = await runCommand(command, ['-m', 'pip', '--version'], {
      timeoutMs: CHECK_TIMEOUT_MS,
      env,
    });
    if (result.ok) return command;
    if (/No module named pip/.test(result.stderr)) withoutPip ??= command;
  }
  if (withoutPip !== null) {
    throw new SetupError(`${withoutPip} has no pip`, {
      remedy: 'install pip for Python 3 (Debian and Ubuntu: apt-get install python3-pip)',
    });
  }
  throw new SetupError(`found no Python (tried ${candidates.join(', ')})`, {
    remedy: 'install python3 with pip (Debian and Ubuntu: apt-get install python3-pip)',
  });
}
