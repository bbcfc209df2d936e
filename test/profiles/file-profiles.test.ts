/** Measured times in files: found under the same facts and no others, and no trouble of the file system is anybody's. */
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FileProfiles, MOST_FILES } from '#internal/profiles/file-profiles.js';
import { describeSurroundings, type Surroundings } from '#internal/profiles/surroundings.js';
import type { ProfiledSize, ProfileFacts } from '#internal/scheduler/driver/profile-store.js';
import { HAS_KERNELS } from '../helpers/backends.js';
import { temporaryDirectory } from '../io/support.js';

const FACTS: ProfileFacts = {
  model: { layers: ['dense'] },
  inputShapes: [[[4, 6]], [[16, 6]]],
  compile: { optimizer: { className: 'SGD', config: {} } },
  backend: 'cpu',
  backendVersion: '4.22.0',
  workers: 2,
};

const SURROUNDINGS: Surroundings = {
  millrace: '0.1.0',
  node: 'v20.19.0',
  platform: 'linux',
  arch: 'x64',
  processor: 'A Processor',
  cores: 2,
  nodeFlags: [],
  fused: '',
  kernels: '',
  engine: [],
  setup: [],
  tracedLayers: [],
};

const unit = (forwardMs: number) => ({
  forwardMs,
  backwardInputMs: 2,
  backwardWeightMs: 3,
  accumulateMs: 0.5,
  stepMs: 0,
  outputBytes: 96,
});
const sizesOf = (ms: number): ProfiledSize[] => [
  { rows: 4, units: [unit(ms)] },
  { rows: 16, units: [unit(ms + 1)] },
];
const SIZES = sizesOf(1);

let directory: string;
let store: FileProfiles;
beforeEach(async () => {
  directory = join(await temporaryDirectory(), 'a', 'profiles');
  store = new FileProfiles(directory, SURROUNDINGS);
});

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).map(name => join(folder, name));

async function onlyFile(): Promise<string> {
  const [path, ...others] = await filesIn(directory);
  expect(others).toEqual([]);
  return path!;
}

describe('measured times', () => {
  it('are found again under the same facts, by another store too', async () => {
    expect(await store.read(FACTS)).toBeUndefined();
    await store.write(FACTS, SIZES);
    expect(await store.read(structuredClone(FACTS))).toEqual(SIZES);
    expect(await new FileProfiles(directory, { ...SURROUNDINGS }).read(FACTS)).toEqual(SIZES);
  });

  it('are one file a model, whose facts people can read', async () => {
    await store.write(FACTS, SIZES);
    await store.write(FACTS, sizesOf(7));
    expect(JSON.parse(await readFile(await onlyFile(), 'utf8'))).toMatchObject({
      facts: FACTS,
      surroundings: SURROUNDINGS,
    });
    expect(await store.read(FACTS)).toEqual(sizesOf(7));
  });

  const otherFacts: { readonly [Name in keyof ProfileFacts]: ProfileFacts[Name] } = {
    model: { layers: ['lstm'] },
    inputShapes: [[[4, 6]], [[32, 6]]],
    compile: { optimizer: { className: 'Adam', config: {} } },
    backend: 'wasm',
    backendVersion: '4.22.1',
    workers: 3,
  };
  it.each(Object.entries(otherFacts))('are not those of another %s', async (name, value) => {
    await store.write(FACTS, SIZES);
    expect(await store.read({ ...FACTS, [name]: value })).toBeUndefined();
  });

  const otherSurroundings: { readonly [Name in keyof Surroundings]: Surroundings[Name] } = {
    millrace: '0.2.0',
    node: 'v22.0.0',
    platform: 'darwin',
    arch: 'arm64',
    processor: 'Another Processor',
    cores: 4,
    nodeFlags: ['--cpu-prof'],
    fused: '0',
    kernels: 'bu11d',
    engine: ['shares its threads'],
    setup: ['d1ge57'],
    tracedLayers: ['Attention'],
  };
  it.each(Object.entries(otherSurroundings))('are not those under another %s', async (name, value) => {
    await store.write(FACTS, SIZES);
    expect(await new FileProfiles(directory, { ...SURROUNDINGS, [name]: value }).read(FACTS)).toBeUndefined();
  });
});

describe('a file that is not as it was written', () => {
  it.each([
    ['empty', ''],
    ['cut off', '{"format":3,"sizes":[{"rows":4,'],
    ['of another format', JSON.stringify({ format: 1, sizes: SIZES })],
    ['without sizes', JSON.stringify({ format: 3 })],
    ['of the wrong types', JSON.stringify({ format: 3, sizes: [{ rows: '4', units: [] }] })],
    ['of impossible times', JSON.stringify({ format: 3, sizes: [{ rows: 4, units: [unit(-1)] }] })],
    ['binary', '\u0000\u0001\u0002'],
  ])('because it is %s counts as none, and is written anew', async (_, text) => {
    await store.write(FACTS, SIZES);
    await writeFile(await onlyFile(), text);
    expect(await store.read(FACTS)).toBeUndefined();
    await store.write(FACTS, SIZES);
    expect(await store.read(FACTS)).toEqual(SIZES);
  });
});

describe('a folder that cannot be used', () => {
  it('because a file stands in its place is no error', async () => {
    const path = join(await temporaryDirectory(), 'file');
    await writeFile(path, 'not a folder');
    const blocked = new FileProfiles(join(path, 'profiles'), SURROUNDINGS);
    await expect(blocked.write(FACTS, SIZES)).resolves.toBeUndefined();
    await expect(blocked.read(FACTS)).resolves.toBeUndefined();
    expect(await readFile(path, 'utf8')).toBe('not a folder');
  });

  it('because a folder stands in the place of the file is no error either, and leaves no half-written one', async () => {
    await store.write(FACTS, SIZES);
    const path = await onlyFile();
    const other = new FileProfiles(join(directory, '..', 'other'), SURROUNDINGS);
    await mkdir(join(directory, '..', 'other', path.slice(path.lastIndexOf('/') + 1)), { recursive: true });
    await other.write(FACTS, SIZES);
    expect(await other.read(FACTS)).toBeUndefined();
    expect(await filesIn(join(directory, '..', 'other'))).toHaveLength(1);
  });
});

describe('a full folder', () => {
  const nameOf = (index: number): string => `${index.toString(16).padStart(64, '0')}.json`;
  const at = (seconds: number): Date => new Date(1_700_000_000_000 + seconds * 1_000);

  /** As many as there may be, each used a second after the one before. */
  async function fill(): Promise<void> {
    await mkdir(directory, { recursive: true });
    for (let index = 0; index < MOST_FILES; index++) {
      const path = join(directory, nameOf(index));
      await writeFile(path, '{}');
      await utimes(path, at(index), at(index));
    }
  }

  it('loses what was used longest ago, and nothing that is not its own', async () => {
    await fill();
    await writeFile(join(directory, 'notes.json'), 'mine');
    await utimes(join(directory, 'notes.json'), at(-9), at(-9));
    await store.write(FACTS, SIZES);
    const names = await readdir(directory);
    expect(names).toHaveLength(MOST_FILES + 1);
    expect(names).toContain('notes.json');
    expect(names).not.toContain(nameOf(0));
    expect(names).toContain(nameOf(1));
    expect(await store.read(FACTS)).toEqual(SIZES);
  });

  it('counts reading as use', async () => {
    await store.write(FACTS, SIZES);
    const path = await onlyFile();
    await utimes(path, at(0), at(0));
    await store.read(FACTS);
    expect((await stat(path)).mtimeMs).toBeGreaterThan(at(0).getTime());
  });
});

describe('the surroundings', () => {
  it('are the same every time, and change with the code of a set-up module', async () => {
    const module = join(await temporaryDirectory(), 'layers.mjs');
    await writeFile(module, 'export const one = 1;');
    const describe = () =>
      describeSurroundings({ warnings: [], setup: [`file://${module}`], tracedLayers: [] });
    const first = await describe();
    expect(await describe()).toEqual(first);
    expect(first).toMatchObject({
      node: process.version,
      cores: expect.any(Number),
      setup: [/^[0-9a-f]{64}$/].map(pattern => expect.stringMatching(pattern)),
    });
    await writeFile(module, 'export const one = 2;');
    expect((await describe()).setup).not.toEqual(first.setup);
  });

  it.runIf(HAS_KERNELS)("tell whether Millrace's own ops are there", async () => {
    const describe = () => describeSurroundings({ warnings: [], setup: [], tracedLayers: [] });
    expect((await describe()).kernels).toMatch(/^[0-9a-f]{16}$/);
    vi.stubEnv('MILLRACE_INSTRUCTION_SET', 'avx2');
    expect((await describe()).kernels).toMatch(/^[0-9a-f]{16} on avx2$/);
    vi.stubEnv('MILLRACE_KERNELS', '0');
    expect((await describe()).kernels).toBe('');
    vi.unstubAllEnvs();
  });
});
