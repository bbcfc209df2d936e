import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileAddon, compilerArguments, findCompiler } from '#internal/setup/build/compiler.js';
import { findNodeHeaders } from '#internal/setup/build/node-headers.js';
import { fakeCommand, temporaryDirectory, writeFiles } from './fixtures.js';

function job(command: string) {
  return {
    compiler: { command, leadingArgs: ['--wrapped'], description: 'fake 1.0' },
    env: process.env,
    sources: ['a.cc', 'b.cc'],
    includeDirectories: ['/headers'],
    libraries: ['/libraries/libtensorflow_cc.so.2'],
    nodeApiVersion: 8,
    addon: path.join(temporaryDirectory(), 'tfjs_binding.node'),
  };
}

describe('the compiler', () => {
  it('is the one that CXX names, with its arguments', async () => {
    const command = fakeCommand(temporaryDirectory(), 'my-cxx', "console.log('my-cxx 9.9');");
    const compiler = await findCompiler({ ...process.env, CXX: `${command} -m64` });
    expect(compiler).toEqual({ command, leadingArgs: ['-m64'], description: 'my-cxx 9.9' });
  });

  it('that is not there is missed by name, with what to install', async () => {
    await expect(findCompiler({ PATH: temporaryDirectory() })).rejects.toMatchObject({
      message: 'found no C++ compiler (tried c++, g++, clang++)',
      remedy: expect.stringContaining('apt-get install g++'),
    });
  });

  it('that fails is quoted with its first error', async () => {
    const program =
      "console.error('a.cc:3:1: error: unknown type name x\\n1 error generated.'); process.exit(1);";
    const command = fakeCommand(temporaryDirectory(), 'c++', program);
    await expect(compileAddon(job(command))).rejects.toThrow(
      'the compiler failed (fake 1.0): a.cc:3:1: error: unknown type name x',
    );
  });

  it('is told to look for the libraries beside the package before anywhere else', () => {
    const args = compilerArguments(job('c++'));
    expect(args[0]).toBe('--wrapped');
    expect(args).toContain('-Wl,--disable-new-dtags,-rpath,$ORIGIN/../../deps/lib');
    expect(args).toContain('-DNAPI_VERSION=8');
    // A linker takes libraries for what stands before them.
    expect(args.indexOf('b.cc')).toBeLessThan(args.indexOf('/libraries/libtensorflow_cc.so.2'));
  });
});

describe("Node's headers", () => {
  it('come from npm_config_nodedir when that has them', async () => {
    const directory = temporaryDirectory();
    writeFiles(directory, { 'include/node/node_api.h': '' });
    const headers = await findNodeHeaders({ npm_config_nodedir: directory });
    expect(headers).toEqual({
      directory: path.join(directory, 'include', 'node'),
      origin: 'npm_config_nodedir',
    });
  });

  it('are found without it, beside Node or in the package node-api-headers', async () => {
    const { origin } = await findNodeHeaders({ npm_config_nodedir: temporaryDirectory() });
    expect(origin).toMatch(/this Node|node-api-headers/);
  });
});
