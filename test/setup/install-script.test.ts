import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readCacheEntry } from '#internal/setup/cache.js';
import { installScriptEntryName, installScriptWay } from '#internal/setup/ways/install-script.js';
import { fakeCommand, fakeProject, wayContext, writeFiles } from './fixtures.js';

const HALF_WRITTEN = `
  const fs = require('node:fs');
  fs.mkdirSync('deps/lib', { recursive: true });
  fs.writeFileSync('deps/lib/libtensorflow.so.2', 'half');
  fs.writeFileSync('package.json', '{}');`;

function withScript(script: string) {
  const { tfjsNode } = fakeProject({ 'scripts/install.js': script });
  return { tfjsNode, context: wayContext(tfjsNode) };
}

describe("tfjs-node's own install script", () => {
  it('that works fills the cache and leaves the package to the installer', async () => {
    const { tfjsNode, context } = withScript(`${HALF_WRITTEN}
      fs.mkdirSync('lib/napi-v8', { recursive: true });
      fs.writeFileSync('lib/napi-v8/tfjs_binding.node', 'addon');`);
    const entry = await installScriptWay().obtain(context);
    expect(entry.files.map(file => file.path)).toEqual([
      'deps/lib/libtensorflow.so.2',
      'lib/napi-v8/tfjs_binding.node',
    ]);
    expect(entry.facts).toMatchObject({ origin: 'install script', attributeNamesLocked: 'no' });
    expect(await readCacheEntry(context.cacheDirectory, installScriptEntryName(context))).not.toBeNull();
    expect(readdirSync(tfjsNode.directory).sort()).toEqual(['package.json', 'scripts']);
  });

  it('that breaks off leaves the package untouched and nothing in the cache', async () => {
    const { tfjsNode, context } = withScript(
      `${HALF_WRITTEN} throw new Error('getaddrinfo ENOTFOUND host');`,
    );
    const manifest = readFileSync(path.join(tfjsNode.directory, 'package.json'), 'utf8');
    await expect(installScriptWay().obtain(context)).rejects.toThrow('getaddrinfo ENOTFOUND host');
    expect(readFileSync(path.join(tfjsNode.directory, 'package.json'), 'utf8')).toBe(manifest);
    expect(existsSync(path.join(tfjsNode.directory, 'deps'))).toBe(false);
    expect(readdirSync(context.cacheDirectory)).toEqual(['work']);
    expect(readdirSync(path.join(context.cacheDirectory, 'work'))).toEqual([]);
  });

  it('that hangs on a silent network is ended', async () => {
    const { context } = withScript('setInterval(() => {}, 1000);');
    const way = installScriptWay({ firstByteMs: 1, nextByteMs: 1 });
    await expect(way.obtain(context)).rejects.toThrow('nothing arrived for 0.001 s');
  });

  it('that ends well without an addon has failed', async () => {
    const { context } = withScript(HALF_WRITTEN);
    await expect(installScriptWay().obtain(context)).rejects.toThrow(
      /it ended without an error but made no lib\/napi-v8\/tfjs_binding\.node/,
    );
  });

  it('finds the packages and commands of the project that it was copied from', async () => {
    const { context } = withScript(`
      if (require('wanted-package') !== 'found') throw new Error('wrong package');
      require('node:child_process').execSync('wanted-command', { stdio: 'inherit' });
      ${HALF_WRITTEN}
      fs.mkdirSync('lib/napi-v8', { recursive: true });
      fs.writeFileSync('lib/napi-v8/tfjs_binding.node', 'addon');`);
    const modules = context.tfjsNode.nodeModulesDirectory;
    writeFiles(modules, { 'wanted-package/index.js': 'module.exports = "found";' });
    fakeCommand(path.join(modules, '.bin'), 'wanted-command', '');
    await expect(installScriptWay().obtain(context)).resolves.toBeDefined();
  });
});
