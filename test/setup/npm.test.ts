import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { installTfjsNode } from '#internal/setup/install-package.js';
import { npmCommand, npmEnvironment } from '#internal/setup/npm.js';
import { fakeCommand, temporaryDirectory, writeFiles } from './fixtures.js';

describe('the environment for npm', () => {
  it('keeps where packages come from and drops what belongs to the npm around us', () => {
    const kept = {
      PATH: '/bin',
      npm_config_registry: 'r',
      'npm_config_@scope:registry': 's',
      npm_config_https_proxy: 'p',
      npm_config_noproxy: 'n',
      npm_config_cafile: 'c',
      npm_config_userconfig: 'u',
    };
    const dropped = {
      npm_config_ignore_scripts: 'true',
      npm_config_omit: 'dev',
      npm_config_global: 'true',
      npm_config_dry_run: 'true',
      NPM_CONFIG_PRODUCTION: 'true',
    };
    expect(npmEnvironment({ ...kept, ...dropped })).toEqual(kept);
  });

  it('calls the npm that runs us, also when that is npx', () => {
    const expected = { command: process.execPath, leadingArgs: [path.join('/npm/bin', 'npm-cli.js')] };
    expect(npmCommand({ npm_execpath: '/npm/bin/npm-cli.js' })).toEqual(expected);
    expect(npmCommand({ npm_execpath: '/npm/bin/npx-cli.js' })).toEqual(expected);
    expect(npmCommand({ npm_execpath: '/pnpm/bin/pnpm.cjs' }).leadingArgs).toEqual([]);
    expect(npmCommand({}).leadingArgs).toEqual([]);
  });
});

describe("installing tfjs-node into a user's project", () => {
  function projectWith(files: Readonly<Record<string, string>>): string {
    const directory = temporaryDirectory();
    writeFiles(directory, files);
    return directory;
  }

  /** Stands for npm: writes its arguments and does what the program says. */
  function fakeNpm(program: string): NodeJS.ProcessEnv {
    return { npm_execpath: fakeCommand(temporaryDirectory(), 'npm-cli.js', program) };
  }

  it('does not save it and runs no install scripts', async () => {
    const project = projectWith({ 'package.json': '{}' });
    const env = fakeNpm(`
      const fs = require('node:fs');
      fs.mkdirSync('node_modules/@tensorflow/tfjs-node', { recursive: true });
      fs.writeFileSync('node_modules/@tensorflow/tfjs-node/package.json', JSON.stringify({ version: '4.22.0' }));
      fs.writeFileSync('arguments', process.argv.slice(2).join(' '));`);
    expect((await installTfjsNode(project, env)).version).toBe('4.22.0');
    const args = readFileSync(path.join(project, 'arguments'), 'utf8').split(' ');
    expect(args).toEqual(
      expect.arrayContaining(['install', '--no-save', '--ignore-scripts', '@tensorflow/tfjs-node@4.22.0']),
    );
  });

  it('quotes npm when it fails', async () => {
    const project = projectWith({ 'package.json': '{}' });
    const env = fakeNpm("console.error('npm error: network timeout'); process.exit(1);");
    await expect(installTfjsNode(project, env)).rejects.toThrow(
      'npm could not install @tensorflow/tfjs-node@4.22.0: npm error: network timeout',
    );
  });

  it.each([
    ['pnpm-lock.yaml', 'pnpm add'],
    ['yarn.lock', 'yarn add'],
  ])('leaves a project with %s to its own package manager', async (lockFile, command) => {
    const project = projectWith({ 'package.json': '{}', [lockFile]: '' });
    await expect(installTfjsNode(project, {})).rejects.toMatchObject({
      remedy: expect.stringContaining(command),
    });
  });

  it('refuses a directory that is no project', async () => {
    await expect(installTfjsNode(temporaryDirectory(), {})).rejects.toThrow(/has no package\.json/);
  });
});
