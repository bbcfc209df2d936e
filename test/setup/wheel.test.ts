import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { findPython } from '#internal/setup/build/python.js';
import { cachedLibraries, downloadLibraries, wheelFor } from '#internal/setup/build/wheel.js';
import { fakeCommand, fakeProject, LINUX, temporaryDirectory, wayContext } from './fixtures.js';

/** A Python whose pip "downloads" what `download` writes, and which unpacks with `unpack`. */
function fakePython(download: string, unpack: string): string {
  return fakeCommand(
    temporaryDirectory(),
    'python3',
    `const fs = require('node:fs'), path = require('node:path');
     const args = process.argv.slice(2);
     const after = name => args[args.indexOf(name) + 1];
     if (args.includes('--version')) process.exit(0);
     if (args[0] === '-m') { const target = after('--dest'); ${download} }
     else { const [, , wheel, target] = args; ${unpack} }`,
  );
}

const WRITE_WHEEL = "fs.writeFileSync(path.join(target, 'tensorflow_cpu-2.15.1.whl'), 'wheel');";
const BAD_ZIP = "throw new Error('BadZipFile: File is not a zip file');";
const UNPACK_ALL = `
  for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2', 'include/tensorflow/c/c_api.h']) {
    const file = path.join(target, 'tensorflow', name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, name);
  }`;

function bench(download: string, unpack: string) {
  const lines: string[] = [];
  const context = wayContext(fakeProject().tfjsNode, { log: line => lines.push(line) });
  return { context, lines, python: fakePython(download, unpack) };
}

const wheel = wheelFor(LINUX);

describe("TensorFlow's wheel", () => {
  it('is chosen by platform, and refused where there is none', () => {
    expect(wheel.platformTag).toBe('manylinux_2_17_x86_64');
    expect(wheelFor({ ...LINUX, arch: 'arm64' }).platformTag).toBe('manylinux_2_17_aarch64');
    expect(() => wheelFor({ ...LINUX, platform: 'win32' })).toThrow(/no TensorFlow wheel .* for win32-x64/);
    expect(() => wheelFor({ ...LINUX, libc: 'musl' })).toThrow(/need glibc/);
  });

  it('gives libraries and headers, and keeps them in the cache', async () => {
    const { context, lines, python } = bench(WRITE_WHEEL, UNPACK_ALL);
    expect(await cachedLibraries(context)).toBeNull();
    const entry = await downloadLibraries(context, wheel, python);
    expect(entry.files.map(file => file.path)).toEqual([
      'include/tensorflow/c/c_api.h',
      'lib/libtensorflow_cc.so.2',
      'lib/libtensorflow_framework.so.2',
    ]);
    expect(lines).toEqual([expect.stringContaining('downloading tensorflow-cpu 2.15.1')]);
    expect(await cachedLibraries(context)).toEqual(entry);
  });

  it('that was cut short on its way is said to be so, and downloaded anew by the next run', async () => {
    const { context, python } = bench(WRITE_WHEEL, BAD_ZIP);
    await expect(downloadLibraries(context, wheel, python)).rejects.toMatchObject({
      message: expect.stringMatching(
        /tensorflow_cpu-2\.15\.1\.whl cannot be unpacked: .*File is not a zip file/,
      ),
      remedy: expect.stringContaining('again'),
    });
    expect(await cachedLibraries(context)).toBeNull();
    expect(readdirSync(path.join(context.cacheDirectory, 'work'))).toEqual([]);
    const mended = fakePython(WRITE_WHEEL, UNPACK_ALL);
    await expect(downloadLibraries(context, wheel, mended)).resolves.toBeDefined();
  });

  it('that lacks a library is refused by its name', async () => {
    const { context, python } = bench(WRITE_WHEEL, UNPACK_ALL.replace("'libtensorflow_cc.so.2', ", ''));
    await expect(downloadLibraries(context, wheel, python)).rejects.toThrow('it lacks libtensorflow_cc.so.2');
  });

  it('that cannot be downloaded leads to an error with the words of pip', async () => {
    const { context, python } = bench(
      "console.error('ERROR: No matching distribution'); process.exit(1);",
      '',
    );
    await expect(downloadLibraries(context, wheel, python)).rejects.toThrow(
      'pip could not download tensorflow-cpu 2.15.1: ERROR: No matching distribution',
    );
  });
});

describe('Python', () => {
  it('is the one that PYTHON names', async () => {
    const python = fakePython('', '');
    expect(await findPython({ PYTHON: python })).toBe(python);
  });

  it('that is not there is missed with what to install', async () => {
    await expect(findPython({ PATH: temporaryDirectory() })).rejects.toMatchObject({
      message: 'found no Python (tried python3, python)',
      remedy: expect.stringContaining('python3-pip'),
    });
  });

  it('without pip is said to be so', async () => {
    const directory = temporaryDirectory();
    fakeCommand(directory, 'python3', "console.error('No module named pip'); process.exit(1);");
    await expect(findPython({ PATH: directory })).rejects.toThrow('python3 has no pip');
  });
});
