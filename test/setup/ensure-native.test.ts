import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { ensureNativeTensorflow, type SetupOptions } from '#internal/setup/ensure-native.js';
import { SetupError } from '#internal/setup/errors.js';
import type { Probe } from '#internal/setup/probe.js';
import { readSetupReport, setupReportPath } from '#internal/setup/report.js';
import { cachedWay } from '#internal/setup/ways/cached.js';
import { installScriptEntryName } from '#internal/setup/ways/install-script.js';
import { sourceBuildEntryName } from '#internal/setup/ways/source-build.js';
import type { Way } from '#internal/setup/ways/way.js';
import { type FakeProject, fakeProject, fakeWay, LINUX, temporaryDirectory } from './fixtures.js';

const ADDON = 'lib/napi-v8/tfjs_binding.node';
const WORKING = 'a working addon';

/** An addon works when it holds the right text, so that what stands on the disk decides. */
const probe: Probe = async directory => {
  const addon = path.join(directory, ADDON);
  if (!existsSync(addon)) return { ok: false, reason: 'its native addon is not there' };
  if (readFileSync(addon, 'utf8') !== WORKING) return { ok: false, reason: 'crashed with SIGILL' };
  return {
    ok: true,
    tensorflowVersion: '2.15.1',
    libraries: [path.join(directory, 'deps/lib/libtensorflow_cc.so.2')],
  };
};

function refusing(name: string, message: string, remedy?: string): Way {
  return { name, obtain: () => Promise.reject(new SetupError(message, { remedy })), forget: async () => {} };
}

class Bench {
  readonly project: FakeProject = fakeProject();
  readonly probe = vi.fn(probe);
  readonly script = refusing('its own install script', 'Error: getaddrinfo ENOTFOUND host');
  readonly build = fakeWay('building its addon from source', WORKING, sourceBuildEntryName);
  readonly cacheDirectory = path.join(temporaryDirectory(), 'cache');
  lines: string[] = [];

  async run(changes: SetupOptions = {}) {
    this.lines = [];
    return await ensureNativeTensorflow({
      projectDirectory: this.project.directory,
      cacheDirectory: this.cacheDirectory,
      env: {},
      machine: LINUX,
      ways: [cachedWay, this.script, this.build],
      probe: this.probe,
      log: line => this.lines.push(line),
      ...changes,
    });
  }

  get addon(): string {
    return path.join(this.project.tfjsNode.directory, ADDON);
  }

  get report() {
    return readSetupReport(setupReportPath(this.project.tfjsNode));
  }

  /** What `npm ci` does to everything that the set-up has put into node_modules. */
  reinstallPackages(): void {
    for (const name of ['deps', 'lib']) {
      rmSync(path.join(this.project.tfjsNode.directory, name), { recursive: true, force: true });
    }
    rmSync(path.join(this.project.directory, 'node_modules/.millrace'), { recursive: true, force: true });
  }
}

describe('getting native TensorFlow', () => {
  it('tries the ways in order, with one line for each', async () => {
    const bench = new Bench();
    expect((await bench.run()).state).toBe('ready');
    expect(bench.lines).toEqual([
      'native TensorFlow: does not load yet: its native addon is not there',
      expect.stringMatching(/^native TensorFlow: its own install script: failed after .* ENOTFOUND host$/),
      expect.stringMatching(
        /^native TensorFlow: building its addon from source: done in .*TensorFlow 2\.15\.1, built from source with locked/,
      ),
    ]);
    expect(bench.report?.native).toMatchObject({
      origin: 'source build',
      madeFrom: 'a test',
      attributeNamesLocked: true,
    });
    expect(bench.report?.attempts.map(({ way, ok }) => [way, ok])).toEqual([
      ['already there', false],
      ['its own install script', false],
      ['building its addon from source', true],
    ]);
  });

  it('does nothing the second time, not even probe', async () => {
    const bench = new Bench();
    await bench.run();
    bench.probe.mockClear();
    expect((await bench.run()).state).toBe('ready');
    expect(bench.lines).toEqual([expect.stringMatching(/already loads: .* unchanged since it was checked/)]);
    expect(bench.probe).not.toHaveBeenCalled();
    expect(bench.build.calls).toBe(1);
  });

  it('looks again when the addon has changed since', async () => {
    const bench = new Bench();
    await bench.run();
    writeFileSync(bench.addon, 'something else');
    expect((await bench.run()).state).toBe('ready');
    expect(bench.lines[0]).toContain('does not load yet: crashed with SIGILL');
    expect(readFileSync(bench.addon, 'utf8')).toBe(WORKING);
  });

  it('puts back from the cache what npm ci removed', async () => {
    const bench = new Bench();
    await bench.run();
    bench.reinstallPackages();
    expect((await bench.run()).state).toBe('ready');
    expect(bench.lines[1]).toMatch(/putting it back from the cache: done .* built from source/);
    expect(bench.build.calls).toBe(1);
    expect(bench.report?.native?.origin).toBe('source build');
  });

  it('builds again when the cache was damaged', async () => {
    const bench = new Bench();
    await bench.run();
    const context = { tfjsNode: bench.project.tfjsNode, machine: LINUX } as Parameters<
      typeof sourceBuildEntryName
    >[0];
    const cached = path.join(
      bench.cacheDirectory,
      sourceBuildEntryName(context),
      'deps/lib/libtensorflow_cc.so.2',
    );
    bench.reinstallPackages();
    truncateSync(cached, 1);
    expect((await bench.run()).state).toBe('ready');
    expect(bench.build.calls).toBe(2);
  });

  it('takes out again what does not work, forgets it and goes on', async () => {
    const bench = new Bench();
    const prebuilt = fakeWay(
      'its own install script',
      'an addon for another processor',
      installScriptEntryName,
    );
    await bench.run({ ways: [cachedWay, prebuilt, bench.build] });
    expect(bench.lines[1]).toMatch(
      /its own install script: failed .* what it gave does not work: crashed with SIGILL/,
    );
    expect(readFileSync(bench.addon, 'utf8')).toBe(WORKING);
    bench.reinstallPackages();
    await bench.run({ ways: [cachedWay, prebuilt, bench.build] });
    expect(prebuilt.calls).toBe(1);
  });

  it('is done once when two set-ups of one project run at the same time', async () => {
    const bench = new Bench();
    const outcomes = await Promise.all([bench.run(), bench.run()]);
    expect(outcomes.map(({ state }) => state)).toEqual(['ready', 'ready']);
    expect(bench.build.calls).toBe(1);
    expect(bench.lines).toContainEqual(expect.stringContaining('waiting for another set-up'));
    expect(bench.lines.at(-1)).toMatch(/already loads: .*built from source/);
  });

  it('is done once for two projects that share a cache', async () => {
    const bench = new Bench();
    const other = fakeProject();
    const outcomes = await Promise.all([bench.run(), bench.run({ projectDirectory: other.directory })]);
    expect(outcomes.map(({ state }) => state)).toEqual(['ready', 'ready']);
    expect(bench.build.calls).toBe(1);
    expect(readFileSync(path.join(other.tfjsNode.directory, ADDON), 'utf8')).toBe(WORKING);
  });
});

describe('when no way works', () => {
  const noCompiler = refusing(
    'building its addon from source',
    'found no C++ compiler',
    'install a C++ compiler',
  );

  it('says that wasm is used and what to do, and leaves nothing in the package', async () => {
    const bench = new Bench();
    const outcome = await bench.run({ ways: [cachedWay, bench.script, noCompiler] });
    expect(outcome.state).toBe('unavailable');
    expect(bench.lines.at(-1)).toBe(
      'native TensorFlow: not available; wasm is used instead. To get it: install a C++ compiler',
    );
    expect(existsSync(path.dirname(bench.addon))).toBe(false);
    expect(outcome.report?.native).toBeNull();
  });

  it('tries again the next time, because the user may have followed the advice', async () => {
    const bench = new Bench();
    await bench.run({ ways: [cachedWay, bench.script, noCompiler] });
    expect((await bench.run()).state).toBe('ready');
  });

  it('does not repeat within the hour what took long to fail, unless asked to', async () => {
    const bench = new Bench();
    const now = vi.spyOn(performance, 'now');
    let clockMs = 0;
    now.mockImplementation(() => (clockMs += 4_000));
    await bench.run({ ways: [cachedWay, bench.script] }).finally(() => now.mockRestore());
    expect((await bench.run()).state).toBe('unavailable');
    expect(bench.lines).toEqual([expect.stringMatching(/not available, as found at .*npx millrace setup/)]);
    expect((await bench.run({ retry: true })).state).toBe('ready');
  });

  it('is an error that lists every reason when TensorFlow is forced', async () => {
    const bench = new Bench();
    const forced = bench.run({
      ways: [cachedWay, bench.script, noCompiler],
      env: { MILLRACE_BACKEND: 'tensorflow' },
    });
    await expect(forced).rejects.toMatchObject({
      name: 'SetupError',
      message: expect.stringMatching(
        /MILLRACE_BACKEND=tensorflow, but native TensorFlow cannot be had:\n.*addon is not there\n.*ENOTFOUND host\n.*no C\+\+ compiler/,
      ),
      remedy: 'install a C++ compiler',
    });
    expect(bench.lines.join()).not.toContain('wasm');
  });

  it('names the package when that is what is missing', async () => {
    const project = temporaryDirectory();
    writeFileSync(path.join(project, 'package.json'), '{}');
    const run = ensureNativeTensorflow({
      projectDirectory: project,
      env: { MILLRACE_BACKEND: 'tensorflow' },
      log: () => {},
    });
    await expect(run).rejects.toThrow(/@tensorflow\/tfjs-node is not installed/);
    const report = readSetupReport(path.join(project, 'node_modules/.millrace/setup.json'));
    expect(report).toMatchObject({ tfjsNode: null, native: null });
  });
});

describe('a forced backend that is not TensorFlow', () => {
  it.each(['wasm', 'cpu'])('skips everything for %s', async name => {
    const bench = new Bench();
    const outcome = await bench.run({ env: { MILLRACE_BACKEND: name } });
    expect(outcome).toEqual({ state: 'skipped', report: null });
    expect(bench.lines).toEqual([`native TensorFlow: not set up, because MILLRACE_BACKEND=${name}`]);
    expect(bench.probe).not.toHaveBeenCalled();
  });
});
