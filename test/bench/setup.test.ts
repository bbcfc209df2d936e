/** The environment of the PyTorch peers, made by commands that only play Python. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { setUpTorch, TORCH_VERSION } from '../../bench/setup.mjs';
import { fakeCommand, temporaryDirectory } from '../setup/fixtures.js';

/** What the played Python does where a test does not say otherwise. */
const WORKING = {
  venv: "copyFileSync(process.argv[1], join(bin, 'python')); writeFileSync(join(bin, 'pip'), '');",
  pip: `writeFileSync(join(__dirname, 'torch'), '${TORCH_VERSION}+cpu');`,
};

function scene(parts: Partial<typeof WORKING> = {}) {
  const { venv, pip } = { ...WORKING, ...parts };
  const root = temporaryDirectory();
  const log = path.join(root, 'log');
  const python = fakeCommand(
    root,
    'python3',
    `const { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } = require('fs');
    const { join } = require('path');
    const [option, what, ...more] = process.argv.slice(2);
    if (option === '-m') {
      appendFileSync(${JSON.stringify(log)}, [what, ...more].join(' ') + '\\n');
      const bin = join(more.at(-1), 'bin');
      if (what === 'venv') { mkdirSync(bin, { recursive: true }); ${venv} } else { ${pip} }
    } else if (what !== '') {
      if (!existsSync(join(__dirname, 'torch'))) throw new Error('No module named torch');
      console.log(readFileSync(join(__dirname, 'torch'), 'utf8'));
    }`,
  );
  const directory = path.join(root, 'environment');
  const lines: string[] = [];
  return {
    directory,
    lines,
    set: (more: object = {}) => setUpTorch({ directory, python, say: line => lines.push(line), ...more }),
    calls: () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []),
  };
}

describe('npm run bench:setup', () => {
  it('makes an environment, installs both packages, and has nothing to do the next time', async () => {
    const { directory, set, calls, lines } = scene();
    expect(await set()).toBe(`PyTorch ${TORCH_VERSION} installed`);
    const packages = `torch==${TORCH_VERSION} numpy`;
    const done = [`venv ${directory}`, `pip install --disable-pip-version-check ${packages}`];
    expect(calls()).toEqual(done);
    expect(lines).toHaveLength(1);
    expect(await set()).toBe(`PyTorch ${TORCH_VERSION} is there`);
    expect(calls()).toEqual(done);
  });

  it('brings another version of PyTorch to the wanted one without a new environment', async () => {
    const { directory, set, calls } = scene();
    await set();
    writeFileSync(path.join(directory, 'bin/torch'), '2.1.0');
    expect(await set()).toBe(`PyTorch ${TORCH_VERSION} installed`);
    expect(calls().map(call => call.split(' ')[0])).toEqual(['venv', 'pip', 'pip']);
  });

  it('makes an environment anew whose Python is gone, and leaves alone what a link points to', async () => {
    const { directory, set } = scene();
    const elsewhere = path.join(path.dirname(directory), 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(path.join(elsewhere, 'mine'), '');
    symlinkSync(elsewhere, directory);
    await set();
    expect(existsSync(path.join(elsewhere, 'mine'))).toBe(true);
    expect(existsSync(path.join(elsewhere, 'bin'))).toBe(false);
  });

  it('passes arguments on to pip, before the packages', async () => {
    const { set, calls } = scene();
    await set({ pipArgs: ['--no-index'] });
    expect(calls()[1]).toMatch(/--no-index torch==/);
  });

  it('says so when there is no Python', async () => {
    await expect(scene().set({ python: 'no-such-python' })).rejects.toMatchObject({
      name: 'SetupError',
      message: 'there is no working no-such-python on the PATH',
      remedy: expect.stringContaining('install Python'),
    });
  });

  it('says so when Python lacks venv, and leaves no half of an environment', async () => {
    const { directory, set } = scene({ venv: "throw new Error('ensurepip is not available');" });
    await expect(set()).rejects.toThrow(/^\S+ -m venv failed: .*ensurepip is not available$/);
    expect(existsSync(directory)).toBe(false);
  });

  it('says so when the environment came without pip', async () => {
    const { set } = scene({ venv: "copyFileSync(process.argv[1], join(bin, 'python'));" });
    await expect(set()).rejects.toThrow(/it has made no pip$/);
  });

  it('says in one line why pip failed', async () => {
    const { set } = scene({ pip: "console.error('Collecting torch\\nERROR: no network'); process.exit(1);" });
    await expect(set()).rejects.toMatchObject({
      message: `pip could not install torch==${TORCH_VERSION} and numpy: ERROR: no network`,
      remedy: expect.stringContaining('--index-url'),
    });
  });

  it('does not believe pip when the packages do not load', async () => {
    await expect(scene({ pip: '' }).set()).rejects.toThrow(/do not load as these versions$/);
  });
});
