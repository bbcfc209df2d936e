import { lstatSync, readFileSync, readlinkSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeCacheEntry } from '#internal/setup/cache.js';
import { placeTree } from '#internal/setup/place-tree.js';
import { temporaryDirectory, writeFiles } from './fixtures.js';

async function entry() {
  return await writeCacheEntry(temporaryDirectory(), 'entry', async tree => {
    writeFiles(tree, { 'deps/lib/big.so.2': 'library', 'lib/napi-v8/tfjs_binding.node': 'addon' });
    symlinkSync('big.so.2', path.join(tree, 'deps/lib/big.so'));
    return {};
  });
}

describe('placing a cached tree', () => {
  it('links the files, so that they cost no space', async () => {
    const from = await entry();
    const to = temporaryDirectory();
    expect(await placeTree(from, to)).toBe('linked');
    const inode = (root: string): number => statSync(path.join(root, 'deps/lib/big.so.2')).ino;
    expect(inode(to)).toBe(inode(from.directory));
    expect(readlinkSync(path.join(to, 'deps/lib/big.so'))).toBe('big.so.2');
  });

  it('copies where the file system refuses links', async () => {
    const from = await entry();
    const to = temporaryDirectory();
    const link = () => Promise.reject(Object.assign(new Error('another device'), { code: 'EXDEV' }));
    expect(await placeTree(from, to, { link })).toBe('copied');
    expect(readFileSync(path.join(to, 'lib/napi-v8/tfjs_binding.node'), 'utf8')).toBe('addon');
    expect(lstatSync(path.join(to, 'deps/lib/big.so')).isSymbolicLink()).toBe(true);
  });

  it('does not hide that a file is gone', async () => {
    const from = await entry();
    const broken = { directory: from.directory, files: [{ path: 'lib/missing.so', bytes: 1, sha256: '' }] };
    await expect(placeTree(broken, temporaryDirectory())).rejects.toThrow(/ENOENT/);
  });
});
