/**
 * Writing a group of files so that a crash never leaves half of one under its name: everything is first written beside its
 * place and forced to the disk, then renamed, which the file system does as a whole.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

export interface FileContent {
  readonly path: string;
  readonly parts: readonly Uint8Array[];
}

/**
 * Writes all files, or leaves the old ones as they are when one cannot be written. They are renamed in the given order
 * and one by one, so a crash in that last moment can leave new ones beside old ones: put first what others refer to.
 */
export async function writeFilesAtomically(files: readonly FileContent[]): Promise<void> {
  const unfinished = new Map<string, string>();
  try {
    for (const { path, parts } of files) {
      const temporary = temporaryPath(path);
      unfinished.set(path, temporary);
      await writeToDisk(temporary, parts);
    }
    for (const { path } of files) {
      await rename(unfinished.get(path)!, path);
      unfinished.delete(path);
    }
  } catch (error) {
    for (const temporary of unfinished.values()) await rm(temporary, { force: true });
    throw error;
  }
}

/** In the same directory, because renaming works within one file system only; random, because two may save at once. */
function temporaryPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
}

async function writeToDisk(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const file = await open(path, 'wx');
  try {
    for (const part of parts) await file.writeFile(part);
    // Without this the rename can reach the disk before the content does.
    await file.sync();
  } finally {
    await file.close();
  }
}
