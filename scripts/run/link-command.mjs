// @ts-check
/**
 * Makes `npx millrace …` work inside the clone as it does in a project that has the package installed: npm links the
 * commands of dependencies, but not those of the package itself.
 */
import { chmodSync, lstatSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';

/** @param {import('./paths.mjs').Clone} clone */
export function linkCommand(clone) {
  // There npm makes batch files instead of links; `node dist/cli/main.js` is the way in a clone.
  if (process.platform === 'win32') return;
  const target = path.join(clone.dist, 'cli', 'main.js');
  const link = path.join(clone.nodeModules, '.bin', 'millrace');
  chmodSync(target, 0o755);
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  mkdirSync(path.dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(path.relative(path.dirname(link), target), link);
}
