import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { build, missingOutputs, staleOutputs } from '../../scripts/run/build.mjs';
import { testBackends } from '../../scripts/run/checks.mjs';
import { runInForeground } from '../../scripts/run/child.mjs';
import { installDependencies, installInputs } from '../../scripts/run/install-dependencies.mjs';
import { linkCommand } from '../../scripts/run/link-command.mjs';
import { type Clone, clonePaths } from '../../scripts/run/paths.mjs';
import { hashFiles, stampMatches, writeStamp } from '../../scripts/run/stamp.mjs';
import { temporaryDirectory, writeFiles } from './fixtures.js';

const repository = clonePaths();

/** A clone with two source files, one of them plain JavaScript, and the repository's compiler. */
function smallClone(): Clone {
  const clone = clonePaths(temporaryDirectory());
  writeFiles(clone.root, {
    'package-lock.json': '{}',
    'package.json': '{"type": "module"}',
    'src/a.ts': 'export const a: number = 1;\n',
    'src/cli/main.js': 'export const main = 2;\n',
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        ...{ rootDir: 'src', outDir: 'dist', module: 'nodenext', target: 'es2022', lib: ['es5'], types: [] },
        ...{ allowJs: true, declaration: true, sourceMap: true },
      },
      include: ['src'],
    }),
    'node_modules/.keep': '',
  });
  symlinkSync(path.join(repository.nodeModules, 'typescript'), path.join(clone.nodeModules, 'typescript'));
  return clone;
}

describe('stamps', () => {
  it('match the inputs they were written for, and no others', () => {
    const file = path.join(temporaryDirectory(), 'stamps', 'step.json');
    expect(stampMatches(file, { a: '1' })).toBe(false);
    writeStamp(file, { a: '1' });
    expect(stampMatches(file, { a: '1' })).toBe(true);
    expect(stampMatches(file, { a: '2' })).toBe(false);
    writeFileSync(file, '{');
    expect(stampMatches(file, { a: '1' })).toBe(false);
  });

  it('see a changed, a renamed and a moved byte', () => {
    const directory = temporaryDirectory();
    writeFiles(directory, { a: 'xy', b: 'z', c: 'x', d: 'yz' });
    const hash = (...names: string[]): string =>
      hashFiles(
        names.map(name => path.join(directory, name)),
        directory,
      );
    expect(hash('a', 'b')).toBe(hash('b', 'a'));
    expect(hash('a', 'b')).not.toBe(hash('c', 'd'));
    const before = hash('a');
    writeFiles(directory, { a: 'xz' });
    expect(hash('a')).not.toBe(before);
  });
});

describe('installing packages', () => {
  it('is left out when package-lock.json, Node and platform are those of the stamp', async () => {
    const clone = smallClone();
    writeStamp(path.join(clone.stamps, 'install.json'), installInputs(clone));
    expect(await installDependencies(clone)).toBe('packages are those of package-lock.json');
    writeFiles(clone.root, { 'package-lock.json': '{"changed": true}' });
    expect(stampMatches(path.join(clone.stamps, 'install.json'), installInputs(clone))).toBe(false);
  });
});

describe('compiling', () => {
  it('compiles once, again after a change or a loss, and removes what has no source any more', async () => {
    const clone = smallClone();
    const output = (name: string): string => path.join(clone.dist, name);
    expect(missingOutputs(clone).sort()).toEqual([output('a.js'), output('cli/main.js')]);
    expect(await build(clone)).toBe('dist compiled');
    expect(missingOutputs(clone)).toEqual([]);
    expect(await build(clone)).toBe('dist is up to date');

    rmSync(output('a.js'));
    expect(await build(clone)).toBe('dist compiled');
    expect(existsSync(output('a.js'))).toBe(true);

    writeFiles(clone.root, { 'src/a.ts': 'export const a: number = 7;\n' });
    expect(await build(clone)).toBe('dist compiled');
    expect(readFileSync(output('a.js'), 'utf8')).toContain('7');

    rmSync(path.join(clone.source, 'a.ts'));
    writeFiles(clone.root, { 'src/b.ts': 'export const b = 1;\n' });
    expect(
      staleOutputs(clone)
        .map(file => path.basename(file))
        .sort(),
    ).toEqual(['a.d.ts', 'a.js', 'a.js.map']);
    await build(clone);
    expect(staleOutputs(clone)).toEqual([]);
    expect(existsSync(output('b.js'))).toBe(true);

    linkCommand(clone);
    linkCommand(clone);
    expect(statSync(path.join(clone.nodeModules, '.bin/millrace')).mode & 0o111).toBe(0o111);
  });

  it('fails with the exit code of the compiler, and is not stamped as done', async () => {
    const clone = smallClone();
    const failing = async () => ({ exitCode: 2, signal: null });
    await expect(build(clone, failing)).rejects.toMatchObject({ name: 'StepFailed', exitCode: 2 });
    expect(existsSync(path.join(clone.stamps, 'build.json'))).toBe(false);
  });
});

describe('the backends that npm test iterates over', () => {
  it.each([
    [true, null, ['tensorflow', 'wasm', 'cpu']],
    [false, null, ['wasm', 'cpu']],
    [true, 'tensorflow', ['tensorflow', 'wasm', 'cpu']],
    [true, 'wasm', ['wasm', 'cpu']],
    [true, 'cpu', ['cpu']],
  ] as const)('native %s, forced %s: %s', (nativeIsReady, forced, expected) => {
    expect(testBackends(nativeIsReady, forced)).toEqual(expected);
  });
});

describe('a command in the foreground', () => {
  const run = (program: string) =>
    runInForeground(process.execPath, ['-e', program], { cwd: repository.root });

  it('hands back exit codes, and signals as a shell counts them', async () => {
    expect(await run('process.exit(7)')).toEqual({ exitCode: 7, signal: null });
    expect(await run("process.kill(process.pid, 'SIGTERM')")).toEqual({ exitCode: 143, signal: 'SIGTERM' });
  });

  it('gets the signals that reach us', async () => {
    const end = run(
      "process.on('SIGHUP', () => process.exit(9)); process.kill(process.ppid, 'SIGHUP'); setInterval(() => {}, 1000);",
    );
    expect(await end).toEqual({ exitCode: 9, signal: null });
  });
});

describe('scripts/run.mjs', () => {
  it('lists its commands when it gets another', () => {
    const script = fileURLToPath(new URL('../../scripts/run.mjs', import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [script, 'tset'], { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toBe(
      'millrace: unknown command "tset"; known are start, test, test:browser, bench, bench:fits, bench:memory, bench:scaling, bench:schedules, bench:setup, bench:simulator, bench:transport, bench:tasks\n',
    );
  });
});
