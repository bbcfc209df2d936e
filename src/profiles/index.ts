/** Measured times of layers that outlive a trainer: where they are kept, and what of the machine they depend on. */
import { join } from 'node:path';
import type { ProfileStore } from '../scheduler/driver/profile-store.js';
import { cacheDirectory } from '../setup/index.js';
import { FileProfiles } from './file-profiles.js';
import { describeSurroundings, type EngineFacts } from './surroundings.js';

export type { EngineFacts } from './surroundings.js';

/**
 * @param cache `true` for the user's cache folder, a path for another one, `false` for none
 * @param engine that measures
 */
export async function openProfiles(
  cache: boolean | string,
  engine: EngineFacts,
): Promise<ProfileStore | undefined> {
  if (cache === false) return undefined;
  const directory = cache === true ? join(cacheDirectory(), 'profiles') : cache;
  return new FileProfiles(directory, await describeSurroundings(engine));
}
