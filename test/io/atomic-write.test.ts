import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeFilesAtomically } from '#internal/io/atomic-write.js';
import { temporaryDirectory } from './support.js';

const content = (text: string) => [Buffer.from(text)];

describe('writing files atomically', () => {
  it('writes the parts of a file one after the other', async () => {
    const path = join(await temporaryDirectory(), 'file');
    await writeFilesAtomically([{ path, parts: [...content('one '), ...content(''), ...content('two')] }]);
    expect(await readFile(path, 'utf8')).toBe('one two');
  });

  it('writes an empty file', async () => {
    const path = join(await temporaryDirectory(), 'file');
    await writeFilesAtomically([{ path, parts: [] }]);
    expect(await readFile(path, 'utf8')).toBe('');
  });

  it('touches no file when one of them cannot be written', async () => {
    const directory = await temporaryDirectory();
    const first = join(directory, 'first');
    await writeFile(first, 'old');
    await expect(
      writeFilesAtomically([
        { path: first, parts: content('new') },
        { path: join(directory, 'missing', 'second'), parts: content('new') },
      ]),
    ).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await readFile(first, 'utf8')).toBe('old');
    expect(await readdir(directory)).toEqual(['first']);
  });

  it('removes its temporary files when a rename fails', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'taken', 'by'), { recursive: true });
    await expect(
      writeFilesAtomically([{ path: join(directory, 'taken'), parts: content('new') }]),
    ).rejects.toThrow();
    expect(await readdir(directory)).toEqual(['taken']);
  });

  it('lets two write the same file at once', async () => {
    const path = join(await temporaryDirectory(), 'file');
    const texts = Array.from({ length: 8 }, (_, index) => String(index).repeat(100_000));
    await Promise.all(texts.map(text => writeFilesAtomically([{ path, parts: content(text) }])));
    expect(texts).toContain(await readFile(path, 'utf8'));
  });
});
