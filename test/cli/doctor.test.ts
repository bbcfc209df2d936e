import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BackendCheck, checkBackend } from '#internal/cli/doctor/check-backend.js';
import { examine } from '#internal/cli/doctor/examine.js';
import { formatDiagnosis } from '#internal/cli/doctor/format.js';
import { kernelGaps, TRAINING_KERNELS } from '#internal/cli/doctor/training-kernels.js';
import type { SetupReport } from '#internal/setup/report.js';
import { temporaryDirectory, writeFiles } from '../setup/fixtures.js';

const ALL_KERNELS = Object.values(TRAINING_KERNELS).flat();

const loading = (name: BackendCheck['name']): BackendCheck => ({
  ...{ name, loads: true, version: '1.2.3', supplied: [], gaps: [] },
  simd: name === 'wasm' ? true : null,
  threads: name === 'wasm' ? false : null,
  ownOps: name === 'tensorflow' ? 'avx2' : null,
});
const failing = (name: BackendCheck['name']): BackendCheck => ({
  name,
  loads: false,
  reason: 'it is broken',
});

const REPORT: SetupReport = {
  ...{
    reportVersion: 1,
    writtenAt: '2026-01-01T00:00:00.000Z',
    nodeVersion: 'v20.20.0',
    platform: 'linux-x64',
  },
  tfjsNode: { directory: '/p/node_modules/@tensorflow/tfjs-node', version: '4.22.0' },
  native: null,
  attempts: [
    { way: 'its own install script', ok: false, detail: 'ENOTFOUND host', remedy: null, durationMs: 1 },
    {
      way: 'building its addon from source',
      ok: false,
      detail: 'found no C++ compiler',
      remedy: 'install a C++ compiler',
      durationMs: 1,
    },
  ],
};

/** A child that prints a result for the given kernels. */
function child(program: string): string {
  const directory = temporaryDirectory();
  writeFiles(directory, { 'child.mjs': program });
  return path.join(directory, 'child.mjs');
}

function childWith(packageKernels: readonly string[], kernels: readonly string[]): string {
  const result = { version: '4.22.0', packageKernels, kernels, simd: true, threads: false, ownOps: null };
  return child(`console.log('noise\\nmillrace-backend:' + ${JSON.stringify(JSON.stringify(result))});`);
}

describe('the kernels that training needs', () => {
  it('lack nothing when all are there', () => {
    expect(kernelGaps(ALL_KERNELS)).toEqual([]);
  });

  it('are missed by what a model uses', () => {
    const available = ALL_KERNELS.filter(
      name => name !== 'UnsortedSegmentSum' && name !== 'Conv2DBackpropFilter',
    );
    expect(kernelGaps(available)).toEqual([
      { feature: 'convolutions', kernels: ['Conv2DBackpropFilter'] },
      { feature: 'embeddings', kernels: ['UnsortedSegmentSum'] },
    ]);
  });
});

describe('the check of one backend', () => {
  it('tells what the package lacks and Millrace supplies from what is lacking even then', async () => {
    const without = (...names: string[]) => ALL_KERNELS.filter(name => !names.includes(name));
    const file = childWith(without('Einsum', 'UnsortedSegmentSum'), without('Einsum'));
    expect(await checkBackend('wasm', file)).toMatchObject({
      loads: true,
      supplied: ['UnsortedSegmentSum'],
      gaps: [{ feature: 'einsum', kernels: ['Einsum'] }],
    });
  });

  it('survives a crash', async () => {
    const check = await checkBackend('tensorflow', child(`process.kill(process.pid, 'SIGSEGV');`));
    expect(check).toEqual({ name: 'tensorflow', loads: false, reason: 'crashed with SIGSEGV' });
  });

  it('quotes the error of a missing addon', async () => {
    const check = await checkBackend('tensorflow', child(`throw new TypeError('no addon here');`));
    expect(check).toMatchObject({ loads: false, reason: 'TypeError: no addon here' });
  });

  it('does not wait for ever', async () => {
    const check = await checkBackend('wasm', child('for (;;);'), 200);
    expect(check).toMatchObject({ loads: false, reason: 'gave no answer within 0.2 s' });
  });

  it('does not take an early end for success', async () => {
    expect(await checkBackend('wasm', child(''))).toMatchObject({
      loads: false,
      reason: 'ended without a result',
    });
  });
});

describe('the diagnosis', () => {
  it('uses the first backend that loads', async () => {
    const check = async (name: BackendCheck['name']) =>
      name === 'tensorflow' ? failing(name) : loading(name);
    const diagnosis = await examine({ env: {}, check, report: REPORT });
    expect(diagnosis.used).toBe('wasm');
    expect(diagnosis.advice.slice(0, 2)).toEqual([
      'Install a C++ compiler.',
      "Run 'npx millrace setup' to try again for native TensorFlow.",
    ]);
  });

  it('says that a set of instructions is none, rather than what fails for it', async () => {
    const env = { MILLRACE_INSTRUCTION_SET: 'AVX2' };
    await expect(examine({ env, check: async name => loading(name) })).rejects.toMatchObject({
      name: 'ConfigurationError',
      path: 'MILLRACE_INSTRUCTION_SET',
    });
  });

  it('uses nothing but a forced backend, and says so when that does not load', async () => {
    const check = async (name: BackendCheck['name']) => (name === 'wasm' ? failing(name) : loading(name));
    const diagnosis = await examine({ env: { MILLRACE_BACKEND: 'wasm' }, check, report: null });
    expect(diagnosis.used).toBeNull();
    expect(diagnosis.advice.join()).toContain('MILLRACE_BACKEND=wasm asks for a backend that does not load');
  });

  it('refuses a Node that is too old', async () => {
    const check = async (name: BackendCheck['name']) => loading(name);
    const of = async (nodeVersion: string) =>
      (await examine({ env: {}, check, report: null, nodeVersion })).node.supported;
    expect(await of('v20.18.3')).toBe(false);
    expect(await of('v18.20.0')).toBe(false);
    expect(await of('v20.19.0')).toBe(true);
    expect(await of('v22.1.0')).toBe(true);
  });

  it("tells what became of Millrace's own kernels, and what to do where they are not there", async () => {
    const check = async (name: BackendCheck['name']) => loading(name);
    const kernels = {
      key: 'k',
      ok: false,
      detail: 'found no C++ compiler',
      remedy: 'install a C++ compiler',
      durationMs: 1,
      writtenAt: '2026-01-01T00:00:00.000Z',
    };
    const diagnosis = await examine({ env: {}, check, report: REPORT, kernels });
    expect(formatDiagnosis(diagnosis)).toContain('kernels: failed: found no C++ compiler');
    expect(diagnosis.advice).toEqual([
      "Install a C++ compiler. Then run 'npx millrace setup' to compile Millrace's own kernels.",
    ]);
    const compiled = { ...kernels, ok: true, detail: 'compiled with g++ 12', remedy: null };
    const later = await examine({ env: {}, check, report: REPORT, kernels: compiled });
    expect(formatDiagnosis(later)).toContain('kernels: compiled with g++ 12');
    expect(formatDiagnosis(later)).toContain(
      "tensorflow  loads and trains, version 1.2.3, with Millrace's own ops (avx2)",
    );
    expect(later.advice).toEqual([]);
  });

  it('is printed with every fact', async () => {
    const check = async (name: BackendCheck['name']): Promise<BackendCheck> => {
      if (name !== 'wasm') return name === 'tensorflow' ? failing(name) : loading(name);
      const gaps = [{ feature: 'einsum', kernels: ['Einsum'] }];
      return { ...loading(name), supplied: ['UnsortedSegmentSum'], gaps } as BackendCheck;
    };
    const text = formatDiagnosis(await examine({ env: {}, check, report: REPORT }));
    expect(text).toContain(`Node        ${process.version}`);
    expect(text).toContain('tensorflow  does not load: it is broken');
    expect(text).toContain('wasm        loads and trains, version 1.2.3, with SIMD, one thread per worker');
    expect(text).toContain('Millrace adds for training: UnsortedSegmentSum');
    expect(text).toContain('lacks for einsum: Einsum');
    expect(text).toContain('building its addon from source: failed: found no C++ compiler');
    expect(text).toContain('used        wasm');
    expect(text).toContain('  - Install a C++ compiler.');
  });
});
