import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

function millrace(args: string[], backend = '') {
  const env = { ...process.env, MILLRACE_BACKEND: backend };
  return spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', env });
}

describe('the millrace command', () => {
  it('knows its version', () => {
    expect(millrace(['--version']).stdout).toBe(`${packageJson.version}\n`);
  });

  it('lists what it knows when it gets an unknown command', () => {
    const { status, stderr } = millrace(['docter']);
    expect(status).toBe(2);
    expect(stderr).toContain("unknown command 'docter'; known are doctor, plan, setup");
  });

  it('refuses an unknown option', () => {
    const { status, stderr } = millrace(['doctor', '--jsno']);
    expect(status).toBe(1);
    expect(stderr).toContain('--jsno');
  });

  it('refuses an unknown backend by name', () => {
    const { status, stderr } = millrace(['setup'], 'gpu');
    expect(status).toBe(1);
    expect(stderr).toBe(
      'millrace: MILLRACE_BACKEND must be one of auto, tensorflow, wasm, cpu; it is "gpu"\n',
    );
  });

  it('sets nothing up when another backend is forced', () => {
    const { status, stdout } = millrace(['setup'], 'wasm');
    expect(status).toBe(0);
    expect(stdout).toBe('native TensorFlow: not set up, because MILLRACE_BACKEND=wasm\n');
  });

  it('doctor --json reports every backend as JSON', () => {
    const { status, stdout } = millrace(['doctor', '--json'], 'cpu');
    expect(status).toBe(0);
    const diagnosis = JSON.parse(stdout);
    expect(diagnosis).toMatchObject({
      forced: 'cpu',
      used: 'cpu',
      node: { version: process.version, supported: true },
    });
    const cpu = diagnosis.backends.find((check: { name: string }) => check.name === 'cpu');
    expect(cpu).toMatchObject({ loads: true, gaps: [] });
    const wasm = diagnosis.backends.find((check: { name: string }) => check.name === 'wasm');
    expect(wasm).toMatchObject({ loads: true, simd: true, threads: false });
  });
});
