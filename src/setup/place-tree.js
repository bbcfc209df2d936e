/**
 * Puts a cached tree where it is used. The libraries weigh 600 MB, so files are hard-linked where the file system
 * allows it, which costs neither time nor space, and copied where it does not (another file system, a container
 * layer, a foreign owner). Symbolic links into the cache would be as cheap, but then moving `node_modules` to
 * another machine or cleaning the cache would break them silently.
 */
import { constants } from 'node:fs';
import { copyFile, link, mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';

/**
 * @param {Pick<import('./cache.js').CacheEntry, 'directory' | 'files'>} from
 * @param {string} toDirectory where none of the files exists yet
 * @param {{ link?: typeof link }} [operations] tests replace the link
 * @returns {Promise<'linked' | 'copied'>} `copied` when at least one file had to be
 */
export async function placeTree(from, toDirectory, operations = {}) {
  const hardLink = operations.link ?? link;
  let copiedCount = 0;
  for (const file of from.files) {
    const source = path.join(from.directory, file.path);
    const target = path.join(toDirectory, file.path);
    await mkdir(path.dirname(target), { recursive: true });
    if (file.linkTo !== undefined) {
      await symlink(file.linkTo, target);
      continue;
    }
    try {
      await hardLink(source, target);
    } catch {
      // Whatever kept the link from being made, a copy is right; what keeps the copy from being made is the error.
      await copyFile(source, target, constants.COPYFILE_FICLONE);
      copiedCount += 1;
    }
  }
  return copiedCount === 0 ? 'linked' : 'copied';
}
