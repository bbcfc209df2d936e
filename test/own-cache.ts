/** Gives all tests, and the processes that they start, a cache folder of their own, which goes with them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export default async function setUp(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-cache-'));
  process.env['XDG_CACHE_HOME'] = directory;
  return () => rm(directory, { recursive: true });
}
