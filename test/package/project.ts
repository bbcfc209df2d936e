/** An empty project with the packed tarball in its node_modules, made without a network. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

export interface Project {
  readonly root: string;
  /** Paths in the tarball. */
  readonly packed: readonly string[];
  readonly manifest: Record<string, Record<string, string>>;
  write(name: string, text: string): Promise<void>;
  /** Runs Node in the project; rejects unless it ends with 0. */
  node(args: readonly string[], env?: Record<string, string>): Promise<string>;
  uninstall(name: string): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Packs, unpacks, and links what the manifest declares, and nothing else, to this repository's copies: so an import that is
 * not declared fails, and there is one copy of tfjs.
 */
export async function makeProject(): Promise<Project> {
  // macOS has its temporary folder behind a link, which Node would resolve.
  const root = await realpath(await mkdtemp(join(tmpdir(), 'millrace-package-')));
  // The files under test are in dist/ already; building them again would change them under other tests.
  const { stdout } = await run(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', root, REPOSITORY],
    { cwd: root, maxBuffer: 2 ** 26 },
  );
  const [{ filename, files }] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
  const modules = join(root, 'node_modules');
  await mkdir(modules);
  await run('tar', ['-xzf', join(root, filename), '-C', root]);
  await cp(join(root, 'package'), join(modules, 'millrace'), { recursive: true });
  const manifest = JSON.parse(await readFile(join(modules, 'millrace', 'package.json'), 'utf8'));
  // What a user would install: the rest of the manifest's names, and Node's types for TypeScript.
  const names = [
    ...Object.keys(manifest.dependencies),
    ...Object.keys(manifest.peerDependencies),
    '@types/node',
  ];
  for (const name of names) {
    const link = join(modules, name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(REPOSITORY, 'node_modules', name), link, 'junction');
  }
  await writeFile(join(root, 'package.json'), JSON.stringify({ name: 'empty', private: true }));
  return {
    root,
    packed: files.map(({ path }) => path),
    manifest,
    write: (name, text) => writeFile(join(root, name), text),
    node: async (args, env = {}) => {
      const result = await run(process.execPath, args, {
        cwd: root,
        timeout: 60_000,
        maxBuffer: 2 ** 26,
        env: { ...process.env, ...env },
      });
      return result.stdout;
    },
    uninstall: name => rm(join(modules, name)),
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

export const TSC = join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc');

/** The README's first example. */
export async function readmeExample(): Promise<string> {
  const readme = await readFile(join(REPOSITORY, 'README.md'), 'utf8');
  const found = /```(?:js|ts)\n(.*?)```/s.exec(readme);
  if (found === null) throw new Error('README.md has no example in JavaScript');
  return found[1]!;
}
