/**
 * Installs `@tensorflow/tfjs-node` into a user's project, when the user runs the set-up by hand and it is not there.
 *
 * Without its install script, because npm removes an optional package whose script fails; and without saving it,
 * because for the same reason an entry in package.json would not keep it there, and the user's package.json is not
 * ours to change. npm prunes it with the next `npm install`; running the set-up again then takes seconds.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { SetupError } from './errors.js';
import { locateTfjsNode, PACKAGE_NAME } from './locate.js';
import { npmCommand, npmEnvironment } from './npm.js';
import { failureLine, runCommand } from './run-command.js';

/** The version whose C++ source and internals Millrace knows. */
export const TFJS_NODE_VERSION = '4.22.0';

const INSTALL_TIMEOUT_MS = 10 * 60_000;

/** Other package managers keep `node_modules` in a shape that npm would tear down. */
const FOREIGN_LOCK_FILES = /** @type {const} */ ([
  ['pnpm-lock.yaml', 'pnpm add --save-optional --ignore-scripts'],
  ['yarn.lock', 'yarn add --optional'],
  ['bun.lock', 'bun add --optional --ignore-scripts'],
  ['bun.lockb', 'bun add --optional --ignore-scripts'],
]);

/**
 * @param {string} projectDirectory
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<import('./locate.js').TfjsNodePackage>}
 */
export async function installTfjsNode(projectDirectory, env) {
  const wanted = `${PACKAGE_NAME}@${TFJS_NODE_VERSION}`;
  const foreign = FOREIGN_LOCK_FILES.find(([name]) => existsSync(path.join(projectDirectory, name)));
  if (foreign !== undefined) {
    throw new SetupError(
      `${PACKAGE_NAME} is not installed, and ${projectDirectory} is not managed by npm (${foreign[0]})`,
      {
        remedy: `run '${foreign[1]} ${wanted}', then the set-up again`,
      },
    );
  }
  if (!existsSync(path.join(projectDirectory, 'package.json'))) {
    throw new SetupError(`${PACKAGE_NAME} is not installed, and ${projectDirectory} has no package.json`, {
      remedy: `run the set-up in your project's directory`,
    });
  }
  const npm = npmCommand(env);
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', wanted];
  const result = await runCommand(npm.command, [...npm.leadingArgs, ...args], {
    cwd: projectDirectory,
    env: npmEnvironment(env),
    timeoutMs: INSTALL_TIMEOUT_MS,
  });
  const installed = result.ok ? locateTfjsNode([projectDirectory]) : null;
  if (installed !== null) return installed;
  throw new SetupError(`npm could not install ${wanted}: ${failureLine(result)}`, {
    remedy: 'check that npm reaches a registry',
  });
}
