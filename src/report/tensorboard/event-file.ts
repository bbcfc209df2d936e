/**
 * The event file of one run. It is opened for each write alone: nothing is left open when training breaks off, and
 * TensorBoard sees values as they come.
 */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { encodeFileVersion, encodeSummary, type Summary } from './event.js';
import { encodeRecord } from './record.js';

/** Distinguishes the files that one process begins within a second. */
let fileCount = 0;

export class EventFile {
  readonly #directory: string;
  #path: string | undefined;

  /** @param directory of the run; made with the first values, so that a run without any leaves no trace */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async append(step: number, summaries: readonly Summary[]): Promise<void> {
    this.#path ??= await this.#create();
    const wallTimeMs = Date.now();
    const records = summaries.map(summary => encodeRecord(encodeSummary(wallTimeMs, step, summary)));
    await appendFile(this.#path, Buffer.concat(records));
  }

  /** TensorBoard reads the files of a run in the order of their names, and knows them by 'tfevents'. */
  async #create(): Promise<string> {
    await mkdir(this.#directory, { recursive: true });
    const wallTimeMs = Date.now();
    const seconds = Math.floor(wallTimeMs / 1000);
    const name = `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${fileCount++}.v2`;
    const path = join(this.#directory, name);
    await writeFile(path, encodeRecord(encodeFileVersion(wallTimeMs)), { flag: 'wx' });
    return path;
  }
}
