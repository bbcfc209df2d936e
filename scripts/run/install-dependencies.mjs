// @ts-check
/**
 * Installs the packages of package-lock.json when they are not the ones that stand in `node_modules`. Install scripts
 * do not run: the only one that matters is tfjs-node's, and the native set-up runs that as a step of its own.
 */
import path from 'node:path';
import { npmCommand, npmEnvironment } from '../../src/setup/npm.js';
import { runInForeground } from './child.mjs';
import { hashFiles, stampMatches, writeStamp } from './stamp.mjs';
import { say, throwIfFailed } from './step.mjs';

/**
 * @param {import('./paths.mjs').Clone} clone
 * @returns {Promise<string>}
 */
export async function installDependencies(clone) {
  const stamp = path.join(clone.stamps, 'install.json');
  if (stampMatches(stamp, installInputs(clone))) return 'packages are those of package-lock.json';
  say('installing the packages of package-lock.json');
  const npm = npmCommand(process.env);
  const args = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund'];
  const end = await runInForeground(npm.command, [...npm.leadingArgs, ...args], {
    cwd: clone.root,
    env: npmEnvironment(process.env),
  });
  throwIfFailed('npm ci', end);
  writeStamp(stamp, installInputs(clone));
  return 'packages installed';
}

/**
 * Packages may differ with the version of Node (optional and native ones) and with the platform, when a directory is
 * shared with a container or another machine.
 * @param {import('./paths.mjs').Clone} clone
 */
export function installInputs(clone) {
  return {
    packageLock: hashFiles([path.join(clone.root, 'package-lock.json')], clone.root),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}
