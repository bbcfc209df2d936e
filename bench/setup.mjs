// @ts-check
/**
 * `npm run bench:setup`: a virtual environment with PyTorch beside the benchmarks, for the peers that run on it. Needs Node's
 * built-in modules and a python3; does nothing when the environment is already right.
 */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { SetupError } from '../src/setup/errors.js';
import { failureLine, runCommand } from '../src/setup/run-command.js';
import { TORCH_ENVIRONMENT } from './run/systems.mjs';

export const TORCH_VERSION = '2.13.0';
const PACKAGES = [`torch==${TORCH_VERSION}`, 'numpy'];

const CHECK_TIMEOUT_MS = 120_000;
const VENV_TIMEOUT_MS = 120_000;
/** A wheel of PyTorch has from 200 MB up to gigabytes. */
const PIP_TIMEOUT_MS = 3_600_000;

/**
 * @typedef {object} TorchSetup
 * @property {string} [directory] of the environment
 * @property {string} [python] which makes it
 * @property {readonly string[]} [pipArgs] passed on to `pip install`
 * @property {typeof runCommand} [run]
 * @property {(line: string) => void} say
 */

/**
 * @param {TorchSetup} options
 * @returns {Promise<string>} in a few words, what was done
 * @throws {SetupError} when Python, its venv module or the packages cannot be had
 */
export async function setUpTorch({
  directory = TORCH_ENVIRONMENT,
  python = 'python3',
  pipArgs = [],
  run = runCommand,
  say,
}) {
  const own = path.join(directory, 'bin', 'python');
  if (await hasPackages(own, run)) return `PyTorch ${TORCH_VERSION} is there`;
  if (!(await answers(own, run))) await makeEnvironment(directory, python, run);
  say(`installing ${PACKAGES.join(' and ')} into ${path.relative(process.cwd(), directory)}`);
  const args = ['-m', 'pip', 'install', '--disable-pip-version-check', ...pipArgs, ...PACKAGES];
  const installed = await run(own, args, { timeoutMs: PIP_TIMEOUT_MS });
  if (!installed.ok) {
    throw new SetupError(`pip could not install ${PACKAGES.join(' and ')}: ${failureLine(installed)}`, {
      remedy:
        "give pip what it lacks: arguments after '--' go to it, as in `npm run bench:setup -- --index-url URL`",
    });
  }
  if (!(await hasPackages(own, run))) {
    throw new SetupError(
      `pip has installed ${PACKAGES.join(' and ')}, but they do not load as these versions`,
      {
        remedy: `delete ${directory} and try again`,
      },
    );
  }
  return `PyTorch ${TORCH_VERSION} installed`;
}

/**
 * @param {string} directory
 * @param {string} python
 * @param {typeof runCommand} run
 */
async function makeEnvironment(directory, python, run) {
  if (!(await answers(python, run))) {
    throw new SetupError(`there is no working ${python} on the PATH`, {
      remedy: 'install Python 3.10 or later with its venv and pip modules',
    });
  }
  // Half an environment, or one whose Python has gone. If it is a link, the link alone goes.
  rmSync(directory, { recursive: true, force: true });
  const made = await run(python, ['-m', 'venv', directory], { timeoutMs: VENV_TIMEOUT_MS });
  if (!made.ok || !existsSync(path.join(directory, 'bin', 'pip'))) {
    // Otherwise the next run would take the half for a whole.
    rmSync(directory, { recursive: true, force: true });
    throw new SetupError(`${python} -m venv failed: ${made.ok ? 'it has made no pip' : failureLine(made)}`, {
      remedy: 'install the venv and pip modules of that Python; some systems package them by themselves',
    });
  }
}

/**
 * @param {string} python
 * @param {typeof runCommand} run
 */
async function answers(python, run) {
  return (await run(python, ['-c', ''], { timeoutMs: CHECK_TIMEOUT_MS })).ok;
}

/**
 * @param {string} python
 * @param {typeof runCommand} run
 */
async function hasPackages(python, run) {
  const program = 'import numpy, torch; print(torch.__version__)';
  const { ok, stdout } = await run(python, ['-c', program], { timeoutMs: CHECK_TIMEOUT_MS });
  // What follows a plus names the build: cpu, or a version of CUDA.
  return ok && stdout.trim().split('+')[0] === TORCH_VERSION;
}
