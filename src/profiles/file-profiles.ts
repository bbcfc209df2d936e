/**
 * Measured times as files of a folder, one a model and machine, named by the hash of all that the times depend on. A cache:
 * whatever is wrong with a file or the folder, the layers are measured again, and nobody needs to hear of it.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFilesAtomically } from '../io/atomic-write.js';
import type { ProfiledSize, ProfileFacts, ProfileStore } from '../scheduler/driver/profile-store.js';
import type { Surroundings } from './surroundings.js';

/** Grows with every change of what is measured, how, or of how it is written. */
const FORMAT = 4;

/** Files of a few KiB each. Those used longest ago go first. */
export const MOST_FILES = 256;

const time = z.number().min(0);
const content = z.object({
  format: z.literal(FORMAT),
  sizes: z.array(
    z.object({
      rows: z.int().min(1),
      units: z.array(
        z.object({
          forwardMs: time,
          backwardInputMs: time,
          backwardWeightMs: time,
          accumulateMs: time,
          stepMs: time,
          outputBytes: z.int().min(0),
        }),
      ),
    }),
  ),
});

export class FileProfiles implements ProfileStore {
  readonly #directory: string;
  readonly #surroundings: Surroundings;

  constructor(directory: string, surroundings: Surroundings) {
    this.#directory = directory;
    this.#surroundings = surroundings;
  }

  async read(facts: ProfileFacts): Promise<readonly ProfiledSize[] | undefined> {
    const path = this.#pathOf(facts);
    try {
      const { sizes } = content.parse(JSON.parse(await readFile(path, 'utf8')));
      const now = new Date();
      // So that it counts as used; a folder that others own need not allow it.
      await utimes(path, now, now).catch(() => {});
      return sizes;
    } catch {
      return undefined;
    }
  }

  async write(facts: ProfileFacts, sizes: readonly ProfiledSize[]): Promise<void> {
    // The facts are for people: the name is what counts.
    const text = JSON.stringify({ format: FORMAT, sizes, facts, surroundings: this.#surroundings }, null, 1);
    try {
      await mkdir(this.#directory, { recursive: true });
      await writeFilesAtomically([{ path: this.#pathOf(facts), parts: [Buffer.from(text)] }]);
      await this.#prune();
    } catch {
      // Then the next trainer measures again.
    }
  }

  #pathOf(facts: ProfileFacts): string {
    const key = JSON.stringify([FORMAT, facts, this.#surroundings]);
    return join(this.#directory, `${createHash('sha256').update(key).digest('hex')}.json`);
  }

  /** Looks only at files that have names of its own: the folder may be the user's. */
  async #prune(): Promise<void> {
    const names = (await readdir(this.#directory)).filter(name => /^[0-9a-f]{64}\.json$/.test(name));
    if (names.length <= MOST_FILES) return;
    const files = await Promise.all(
      names.map(async name => {
        const path = join(this.#directory, name);
        // Another process may have removed it meanwhile.
        return {
          path,
          usedMs: await stat(path).then(
            ({ mtimeMs }) => mtimeMs,
            () => 0,
          ),
        };
      }),
    );
    const oldest = files.sort((a, b) => a.usedMs - b.usedMs).slice(0, files.length - MOST_FILES);
    await Promise.all(oldest.map(({ path }) => rm(path, { force: true })));
  }
}
