/** Training under V8's sampling profiler, whose signals TensorFlow's `MatMul` does not survive. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { backends } from '../helpers/backends.js';
import { temporaryDirectory } from '../io/support.js';

const SCRIPT = fileURLToPath(new URL('fixtures/profiled.mjs', import.meta.url));

it.skipIf(!backends().includes('tensorflow'))('survives a sample every tenth of a millisecond', async () => {
  const directory = await temporaryDirectory();
  const flags = ['--cpu-prof', '--cpu-prof-interval=100', `--cpu-prof-dir=${directory}`];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...flags, SCRIPT], {
    encoding: 'utf8',
    timeout: 60_000,
    cwd: directory,
    // Without fusion there is no MatMul to survive.
    env: { ...process.env, MILLRACE_FUSED: '' },
  });
  const epochs = stdout.trim().split('\n').at(-1);
  expect({ status, signal, epochs }, stderr).toEqual({ status: 0, signal: null, epochs: '5' });
  // One of the main thread and one of the worker.
  expect(readdirSync(directory).filter(name => name.endsWith('.cpuprofile'))).toHaveLength(2);
});
