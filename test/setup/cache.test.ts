import { spawnSync } from 'node:child_process';
import {
  existsSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  readCacheEntry,
  removeLeftOvers,
  withWorkDirectory,
  writeCacheEntry,
} from '#internal/setup/cache.js';
import { temporaryDirectory, writeFiles } from './fixtures.js';

const NAME = 'libraries-1.0';
const LIBRARY = 'lib/libtensorflow.so.2';

async function filledCache(): Promise<string> {
  const cache = temporaryDirectory();
  await writeCacheEntry(cache, NAME, async tree => {
    writeFiles(tree, { [LIBRARY]: 'a'.repeat(1000), 'include/c_api.h': '// header' });
    symlinkSync('libtensorflow.so.2', path.join(tree, 'lib/libtensorflow.so'));
    return { madeFrom: 'a test' };
  });
  return cache;
}

describe('the cache', () => {
  it('gives back what was stored, with its facts and symbolic links', async () => {
    const cache = await filledCache();
    const entry = await readCacheEntry(cache, NAME);
    expect(entry?.facts).toEqual({ madeFrom: 'a test' });
    expect(entry?.files.map(file => file.path)).toEqual(['include/c_api.h', 'lib/libtensorflow.so', LIBRARY]);
    expect(entry?.files[1]).toEqual({ path: 'lib/libtensorflow.so', linkTo: 'libtensorflow.so.2' });
  });

  it('knows nothing about what was never stored', async () => {
    expect(await readCacheEntry(temporaryDirectory(), NAME)).toBeNull();
  });

  it.each([
    ['truncated', (file: string) => truncateSync(file, 10)],
    ['changed without changing its size', (file: string) => writeFileSync(file, 'b'.repeat(1000))],
    ['deleted', (file: string) => unlinkSync(file)],
  ])('throws an entry away when a file in it was %s', async (_what, damage) => {
    const cache = await filledCache();
    damage(path.join(cache, NAME, LIBRARY));
    expect(await readCacheEntry(cache, NAME)).toBeNull();
    expect(existsSync(path.join(cache, NAME))).toBe(false);
  });

  it('does not believe a tree without a manifest: that is one whose making was cut short', async () => {
    const cache = await filledCache();
    unlinkSync(path.join(cache, NAME, 'manifest.json'));
    expect(await readCacheEntry(cache, NAME)).toBeNull();
  });

  it('keeps the old entry when making a new one fails, and leaves nothing half made', async () => {
    const cache = await filledCache();
    const failing = writeCacheEntry(cache, NAME, async tree => {
      writeFiles(tree, { [LIBRARY]: 'half' });
      throw new Error('the download broke off');
    });
    await expect(failing).rejects.toThrow('the download broke off');
    expect((await readCacheEntry(cache, NAME))?.facts).toEqual({ madeFrom: 'a test' });
    expect(readdirSync(path.join(cache, 'work'))).toEqual([]);
  });

  it('replaces an entry whole', async () => {
    const cache = await filledCache();
    await writeCacheEntry(cache, NAME, async tree => {
      writeFiles(tree, { 'lib/other.so': 'new' });
      return { madeFrom: 'another test' };
    });
    const entry = await readCacheEntry(cache, NAME);
    expect(entry?.files.map(file => file.path)).toEqual(['lib/other.so']);
    expect(readFileSync(path.join(entry!.directory, 'lib/other.so'), 'utf8')).toBe('new');
  });

  it('clears away what killed set-ups left, and nothing that a living one works on', async () => {
    const cache = temporaryDirectory();
    const { pid: deadPid } = spawnSync(process.execPath, ['--version']);
    const dead = path.join(cache, 'work', `${os.hostname()}-${deadPid}-00000000`);
    writeFiles(dead, { 'wheel/half.whl.part': 'half' });
    await withWorkDirectory(cache, async living => {
      await removeLeftOvers(cache);
      expect(existsSync(dead)).toBe(false);
      expect(existsSync(living)).toBe(true);
    });
  });

  it('says what to do when its directory cannot be written', async () => {
    const file = path.join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    await expect(withWorkDirectory(file, async () => {})).rejects.toMatchObject({
      message: expect.stringContaining(`cannot write the cache directory ${file}`),
      remedy: expect.stringContaining('XDG_CACHE_HOME'),
    });
  });
});
