import { describe, expect, it } from 'vitest';
import { sourceBuildWay } from '#internal/setup/ways/source-build.js';
import { fakeCommand, fakeProject, temporaryDirectory, wayContext } from './fixtures.js';

describe('building the addon from source', () => {
  it('names everything that is missing at once, before it downloads anything', async () => {
    const lines: string[] = [];
    const context = wayContext(fakeProject().tfjsNode, {
      env: { PATH: temporaryDirectory() },
      log: line => lines.push(line),
    });
    await expect(sourceBuildWay.obtain(context)).rejects.toMatchObject({
      message: 'found no C++ compiler (tried c++, g++, clang++); found no Python (tried python3, python)',
      remedy: expect.stringMatching(/install a C\+\+ compiler .*; install python3 with pip/),
    });
    expect(lines).toEqual([]);
  });

  it('refuses source that it cannot patch before it downloads anything', async () => {
    const lines: string[] = [];
    const { tfjsNode } = fakeProject({ 'binding/tfjs_backend.cc': 'int main() {}' });
    const anything = fakeCommand(temporaryDirectory(), 'anything', '');
    const env = { ...process.env, CXX: anything, PYTHON: anything };
    const context = wayContext(tfjsNode, { env, log: line => lines.push(line) });
    await expect(sourceBuildWay.obtain(context)).rejects.toThrow(/cannot be put in/);
    expect(lines).toEqual([]);
  });
});
