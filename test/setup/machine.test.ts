import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { addonNodeApiVersion, findProjectDirectory, locateTfjsNode } from '#internal/setup/locate.js';
import { cacheDirectory } from '#internal/setup/machine.js';
import { nativeEntryName } from '#internal/setup/ways/way.js';
import { fakeProject, LINUX, temporaryDirectory, wayContext, writeFiles } from './fixtures.js';

describe('the cache directory', () => {
  it.each([
    ['XDG_CACHE_HOME everywhere', { XDG_CACHE_HOME: '/x', HOME: '/home/a' }, 'linux', '/x/millrace'],
    ['~/.cache', { HOME: '/home/a' }, 'linux', '/home/a/.cache/millrace'],
    [
      '~/.cache when XDG_CACHE_HOME is relative',
      { XDG_CACHE_HOME: 'x', HOME: '/home/a' },
      'linux',
      '/home/a/.cache/millrace',
    ],
    ['~/Library/Caches on macOS', { HOME: '/Users/a' }, 'darwin', '/Users/a/Library/Caches/millrace'],
  ])('is in %s', (_what, env, platform, expected) => {
    expect(cacheDirectory(env, platform)).toBe(expected);
  });
});

describe('the names of cache entries', () => {
  it('differ wherever an addon of one would not fit the other', () => {
    const { tfjsNode } = fakeProject();
    const name = (machine: Partial<typeof LINUX>, version = '4.22.0'): string =>
      nativeEntryName(wayContext({ ...tfjsNode, version }, { machine: { ...LINUX, ...machine } }), 'source');
    const names = [
      name({}),
      name({ platform: 'darwin' }),
      name({ arch: 'arm64' }),
      name({ libc: 'glibc2.31' }),
      name({ nodeApiVersion: 3 }),
      name({}, '4.23.0'),
    ];
    expect(new Set(names).size).toBe(names.length);
    expect(names[0]).toBe('tfjs-node-4.22.0-source-linux-x64-glibc2.36-napi8');
  });
});

describe('finding the package', () => {
  it('takes the newest Node-API that both sides know', () => {
    const { tfjsNode } = fakeProject();
    expect(addonNodeApiVersion(tfjsNode, 10)).toBe(8);
    expect(addonNodeApiVersion(tfjsNode, 7)).toBe(3);
  });

  it('searches the directories in order and upwards', () => {
    const { directory, tfjsNode } = fakeProject();
    const below = path.join(directory, 'packages/app/src');
    mkdirSync(below, { recursive: true });
    expect(locateTfjsNode([temporaryDirectory(), below])).toEqual(tfjsNode);
    expect(tfjsNode.nodeModulesDirectory).toBe(path.join(directory, 'node_modules'));
    expect(locateTfjsNode([temporaryDirectory()])).toBeNull();
  });

  it('takes the nearest directory with a package.json for the project', () => {
    const directory = temporaryDirectory();
    writeFiles(directory, { 'package.json': '{}', 'a/b/file': '' });
    expect(findProjectDirectory(path.join(directory, 'a/b'))).toBe(directory);
  });
});
