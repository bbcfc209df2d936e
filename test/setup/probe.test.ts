import { describe, expect, it } from 'vitest';
import { assertOneTensorflowBuild } from '#internal/setup/loaded-libraries.js';
import { locateTfjsNode } from '#internal/setup/locate.js';
import { probeTfjsNode } from '#internal/setup/probe.js';
import { fakeProject } from './fixtures.js';

const withMain = (program: string): string => fakeProject({ 'index.js': program }).tfjsNode.directory;
const nativeIsThere = (process.env['MILLRACE_TEST_BACKENDS'] ?? '').split(',').includes('tensorflow');

describe('the probe', () => {
  it.runIf(nativeIsThere)('trains with the installed tfjs-node and reports its libraries', async () => {
    const found = await probeTfjsNode(locateTfjsNode([import.meta.dirname])!.directory);
    expect(found).toMatchObject({ ok: true, tensorflowVersion: expect.stringMatching(/^2\.\d+/) });
  });

  it('says that the addon is not there instead of repeating advice that does not help', async () => {
    const directory = withMain(
      `throw new Error('The Node.js native addon module (tfjs_binding.node) can not be found at path: /x. \\nPlease run')`,
    );
    expect(await probeTfjsNode(directory)).toEqual({ ok: false, reason: 'its native addon is not there' });
  });

  it('quotes the error of a library that does not load', async () => {
    const directory = withMain(`throw new Error('libtensorflow.so.2: cannot open shared object file')`);
    expect(await probeTfjsNode(directory)).toEqual({
      ok: false,
      reason: 'Error: libtensorflow.so.2: cannot open shared object file',
    });
  });

  it('survives a crash and names the signal', async () => {
    const directory = withMain(`process.kill(process.pid, 'SIGILL')`);
    expect(await probeTfjsNode(directory)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('SIGILL'),
    });
  });

  it('does not wait for ever', async () => {
    const directory = withMain('for (;;);');
    const found = await probeTfjsNode(directory, { timeoutMs: 200 });
    expect(found).toEqual({ ok: false, reason: 'ended because it took longer than 0.2 s' });
  });

  it('does not take another backend for TensorFlow', async () => {
    const directory = withMain(`module.exports = { ready: async () => {}, getBackend: () => 'cpu' };`);
    expect(await probeTfjsNode(directory)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('backend'),
    });
  });

  it('does not take a wrong product for a right one', async () => {
    const directory = withMain(`module.exports = {
      ready: async () => {}, getBackend: () => 'tensorflow', tensor2d: () => {},
      matMul: () => ({ dataSync: () => [0, 0, 0, 0] }),
    };`);
    expect(await probeTfjsNode(directory)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('product'),
    });
  });
});

describe('libtensorflow in one process', () => {
  it('may be loaded once', () => {
    expect(() => assertOneTensorflowBuild([])).not.toThrow();
    expect(() =>
      assertOneTensorflowBuild(['/a/libtensorflow_cc.so.2', '/a/libtensorflow_framework.so.2']),
    ).not.toThrow();
  });

  it('may not be loaded in two builds', () => {
    const libraries = ['/a/libtensorflow_cc.so.2', '/b/libtensorflow.so.2'];
    expect(() => assertOneTensorflowBuild(libraries)).toThrow(/two builds of libtensorflow .* \/a and \/b/);
  });
});
