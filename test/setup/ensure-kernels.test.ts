import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { kernelKey, kernelSourceKey } from '#internal/setup/build/kernel-recipe.js';
import { ensureKernels, type KernelOptions } from '#internal/setup/ensure-kernels.js';
import { readKernelsReport } from '#internal/setup/kernels-report.js';
import type { KernelProbe } from '#internal/setup/probe.js';
import type { NativeFacts } from '#internal/setup/report.js';
import { fakeCommand, fakeProject, LINUX, temporaryDirectory, writeFiles } from './fixtures.js';

const MODULE = `lib/napi-v8/millrace_kernels-${kernelSourceKey()}.node`;

/** Writes where it is told to, and how often it has compiled. */
const COMPILER = `
const { appendFileSync, writeFileSync } = require('node:fs');
const args = process.argv.slice(2);
if (args.includes('--version')) console.log('my-cxx 1.0');
else {
  writeFileSync(args[args.indexOf('-o') + 1], 'kernels');
  appendFileSync(__filename + '.calls', JSON.stringify(args) + '\\n');
}`;

class Bench {
  readonly #commands = temporaryDirectory();
  readonly compiler = fakeCommand(this.#commands, 'my-cxx', COMPILER);
  readonly cacheDirectory = path.join(temporaryDirectory(), 'cache');
  readonly probe = vi.fn<KernelProbe>(async () => ({ ok: true, tensorflowVersion: '2.15.1', libraries: [] }));
  lines: string[] = [];

  project() {
    return fakeProject({ 'lib/napi-v8/tfjs_binding.node': 'addon' });
  }

  async run(
    project: ReturnType<typeof fakeProject>,
    changes: KernelOptions = {},
    native: Partial<NativeFacts> = {},
  ) {
    this.lines = [];
    const facts: NativeFacts = {
      origin: 'source build',
      madeFrom: null,
      tensorflowVersion: '2.15.1',
      attributeNamesLocked: true,
      stamp: [
        {
          path: path.join(project.tfjsNode.directory, 'lib/napi-v8/tfjs_binding.node'),
          bytes: 1,
          modifiedMs: 1,
        },
        { path: '/deps/lib/libtensorflow_cc.so.2', bytes: 1, modifiedMs: 1 },
      ],
      ...native,
    };
    return await ensureKernels(facts, {
      projectDirectory: project.directory,
      cacheDirectory: this.cacheDirectory,
      env: { ...process.env, CXX: this.compiler },
      machine: { ...LINUX, nodeApiVersion: 8 },
      probe: this.probe,
      log: line => this.lines.push(line),
      ...changes,
    });
  }

  get calls(): string[][] {
    const file = `${this.compiler}.calls`;
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line));
  }
}

describe("Millrace's own kernels", () => {
  it('are compiled for the libraries beside the addon, and put there', async () => {
    const bench = new Bench();
    const project = bench.project();
    expect(await bench.run(project)).toBe(true);
    const file = path.join(project.tfjsNode.directory, MODULE);
    expect(readFileSync(file, 'utf8')).toBe('kernels');
    const [args] = bench.calls;
    expect(args).toContain('/deps/lib/libtensorflow_cc.so.2');
    expect(args!.filter(name => name.endsWith('.cc')).map(name => path.basename(name))).toContain('lstm.cc');
    expect(args!.join()).not.toContain('tfjs_binding.node');
    expect(bench.probe).toHaveBeenCalledExactlyOnceWith(
      project.tfjsNode.directory,
      expect.stringContaining(file),
    );
    expect(bench.lines).toEqual([
      expect.stringMatching(/^kernels: ready in .* s, compiled with my-cxx 1\.0$/),
    ]);
    expect(readKernelsReport(file)).toMatchObject({ ok: true, detail: 'compiled with my-cxx 1.0' });
  });

  it('are left alone the second time, and compiled once for all projects', async () => {
    const bench = new Bench();
    const project = bench.project();
    await bench.run(project);
    expect(await bench.run(project)).toBe(true);
    expect(bench.lines).toEqual(['kernels: already there, compiled with my-cxx 1.0']);
    expect(await bench.run(bench.project())).toBe(true);
    rmSync(path.join(project.tfjsNode.directory, MODULE));
    expect(await bench.run(project)).toBe(true);
    expect(bench.calls).toHaveLength(1);
  });

  it('are compiled anew for another TensorFlow', async () => {
    const bench = new Bench();
    const project = bench.project();
    await bench.run(project);
    expect(await bench.run(project, {}, { tensorflowVersion: '2.9.1' })).toBe(true);
    expect(bench.calls).toHaveLength(2);
    expect(kernelKey(['linux'], ['/a/b.so'])).toBe(kernelKey(['linux'], ['/c/b.so']));
    expect(kernelKey(['linux'], ['/a/b.so'])).not.toBe(kernelKey(['linux'], ['/a/c.so']));
  });

  it('are no error where there is no compiler, which the next start looks for again', async () => {
    const bench = new Bench();
    const project = bench.project();
    const env = { PATH: temporaryDirectory() };
    expect(await bench.run(project, { env })).toBe(false);
    expect(bench.lines).toEqual([
      expect.stringMatching(
        /^kernels: not available after .*TensorFlow's own ops are used instead: found no C\+\+ compiler.*To get them: install a C\+\+ compiler/,
      ),
    ]);
    expect(await bench.run(project)).toBe(true);
  });

  it('are not tried again within the hour where that took long, unless a set-up is asked for', async () => {
    const bench = new Bench();
    const project = bench.project();
    const now = vi.spyOn(performance, 'now');
    let clockMs = 0;
    now.mockImplementation(() => (clockMs += 4_000));
    await bench.run(project, { env: { PATH: temporaryDirectory() } }).finally(() => now.mockRestore());
    expect(await bench.run(project)).toBe(false);
    expect(bench.lines).toEqual([
      expect.stringMatching(/not available, as found before .*npx millrace setup/),
    ]);
    expect(await bench.run(project, { retry: true })).toBe(true);
  });

  it('are tried again by a set-up although they are there', async () => {
    const bench = new Bench();
    const project = bench.project();
    await bench.run(project);
    bench.probe.mockResolvedValueOnce({ ok: false, reason: 'needs a newer libstdc++' });
    expect(await bench.run(project, { retry: true })).toBe(false);
    expect(existsSync(path.join(project.tfjsNode.directory, MODULE))).toBe(false);
  });

  it('are no error where their place cannot be written', async () => {
    const bench = new Bench();
    const project = bench.project();
    // A folder where the module should be: nobody can rename a file over it, or remove it as one.
    writeFiles(path.join(project.tfjsNode.directory, MODULE), { occupied: '' });
    expect(await bench.run(project)).toBe(false);
    expect(bench.lines).toEqual([expect.stringContaining("TensorFlow's own ops are used instead")]);
  });

  it('are taken out again and forgotten if they do not work', async () => {
    const bench = new Bench();
    const project = bench.project();
    bench.probe.mockResolvedValueOnce({ ok: false, reason: 'crashed with SIGILL' });
    expect(await bench.run(project)).toBe(false);
    expect(bench.lines[0]).toContain('what was compiled does not work: crashed with SIGILL');
    expect(existsSync(path.join(project.tfjsNode.directory, MODULE))).toBe(false);
    expect(await bench.run(project, { retry: true })).toBe(true);
    expect(bench.calls).toHaveLength(2);
  });

  it('are compiled on Linux alone', async () => {
    const bench = new Bench();
    const machine = { ...LINUX, platform: 'darwin', nodeApiVersion: 8 };
    expect(await bench.run(bench.project(), { machine })).toBe(false);
    expect(bench.lines).toEqual([
      "kernels: not compiled on darwin, only on Linux; TensorFlow's own ops are used instead",
    ]);
  });

  it('tell a compiler that fails by its first error', async () => {
    const bench = new Bench();
    const program =
      "if (process.argv.includes('--version')) console.log('old 1.0'); else { console.error('a.cc:1:2: error: no'); process.exit(1); }";
    const directory = temporaryDirectory();
    writeFiles(directory, { 'package.json': '{}' });
    const CXX = fakeCommand(directory, 'old-cxx', program);
    expect(await bench.run(bench.project(), { env: { ...process.env, CXX } })).toBe(false);
    expect(bench.lines[0]).toContain('the compiler failed (old 1.0): a.cc:1:2: error: no');
  });
});
