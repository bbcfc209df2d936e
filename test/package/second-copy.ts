/** A project with a copy of TensorFlow.js of its own, beside the one that Millrace uses. */
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MODULES = join(ROOT, 'node_modules');
const COPIED = ['tfjs', 'tfjs-core', 'tfjs-layers', 'tfjs-data', 'tfjs-converter', 'tfjs-backend-cpu'];

export interface SecondCopy {
  readonly root: string;
  /** Of the copy of tfjs-layers. */
  readonly version: string;
  write(name: string, source: string): Promise<string>;
  remove(): Promise<void>;
}

/** Copies what Node loads of tfjs, under another version; everything else is linked. */
export async function makeSecondCopy(version: string): Promise<SecondCopy> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'millrace-copies-')));
  const modules = join(root, 'node_modules');
  await mkdir(join(modules, '@tensorflow'), { recursive: true });
  for (const name of await readdir(MODULES)) {
    if (!name.startsWith('.') && name !== '@tensorflow') await link(name);
  }
  for (const name of await readdir(join(MODULES, '@tensorflow'))) {
    const path = join('@tensorflow', name);
    if (!COPIED.includes(name)) await link(path);
    else await copy(path);
  }
  await symlink(ROOT, join(modules, 'millrace'), 'junction');

  async function link(path: string): Promise<void> {
    await symlink(join(MODULES, path), join(modules, path), 'junction');
  }

  async function copy(path: string): Promise<void> {
    const manifest = JSON.parse(await readFile(join(MODULES, path, 'package.json'), 'utf8')) as {
      main: string;
    };
    await mkdir(dirname(join(modules, path, manifest.main)), { recursive: true });
    await cp(join(MODULES, path, manifest.main), join(modules, path, manifest.main));
    await writeFile(join(modules, path, 'package.json'), JSON.stringify({ ...manifest, version }));
  }

  return {
    root,
    version,
    write: async (name, source) => {
      await writeFile(join(root, name), source);
      return join(root, name);
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}
