/** Temporary directories, fake packages and fake commands for the tests of the set-up. None needs the network. */
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { writeCacheEntry } from '#internal/setup/cache.js';
import { locateTfjsNode, type TfjsNodePackage } from '#internal/setup/locate.js';
import type { Machine } from '#internal/setup/machine.js';
import type { Way, WayContext } from '#internal/setup/ways/way.js';

export function temporaryDirectory(): string {
  const directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'millrace-test-')));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Writes files given as relative path → text. */
export function writeFiles(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/** A command that runs the given JavaScript (CommonJS), such as a fake compiler. */
export function fakeCommand(directory: string, name: string, program: string): string {
  const file = path.join(directory, name);
  writeFiles(directory, { [name]: `#!${process.execPath}\n${program}\n` });
  chmodSync(file, 0o755);
  return file;
}

export interface FakeProject {
  readonly directory: string;
  readonly tfjsNode: TfjsNodePackage;
}

/** A project in which something that looks like tfjs-node 4.22.0 is installed without its addon. */
export function fakeProject(packageFiles: Readonly<Record<string, string>> = {}): FakeProject {
  const directory = temporaryDirectory();
  const manifest = { name: '@tensorflow/tfjs-node', version: '4.22.0', binary: { napi_versions: [3, 8] } };
  writeFiles(path.join(directory, 'node_modules/@tensorflow/tfjs-node'), {
    'package.json': JSON.stringify(manifest),
    ...packageFiles,
  });
  writeFiles(directory, { 'package.json': '{}' });
  const tfjsNode = locateTfjsNode([directory]);
  if (tfjsNode === null) throw new Error('the fake package was not found');
  return { directory, tfjsNode };
}

export const LINUX: Machine = {
  platform: 'linux',
  arch: 'x64',
  libc: 'glibc2.36',
  nodeVersion: process.version,
  nodeApiVersion: 9,
};

export function wayContext(tfjsNode: TfjsNodePackage, changes: Partial<WayContext> = {}): WayContext {
  const cacheDirectory = changes.cacheDirectory ?? path.join(temporaryDirectory(), 'cache');
  return { tfjsNode, machine: LINUX, cacheDirectory, env: process.env, log: () => {}, ...changes };
}

export interface CountingWay extends Way {
  calls: number;
}

/** A way that obtains an addon with the given text, under a name of its own or of a real way. */
export function fakeWay(
  name: string,
  addon: string,
  entryName: (context: WayContext) => string,
): CountingWay {
  const way: CountingWay = {
    name,
    calls: 0,
    async obtain(context) {
      way.calls += 1;
      return await writeCacheEntry(context.cacheDirectory, entryName(context), async tree => {
        writeFiles(tree, {
          'deps/lib/libtensorflow_cc.so.2': 'library',
          'lib/napi-v8/tfjs_binding.node': addon,
        });
        return { origin: 'source build', attributeNamesLocked: 'yes', madeFrom: 'a test' };
      });
    },
    async forget(context) {
      rmSync(path.join(context.cacheDirectory, entryName(context)), { recursive: true, force: true });
    },
  };
  return way;
}
