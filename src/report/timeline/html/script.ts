/**
 * The page's script: the compiled modules of `../page` in one piece, since a page that is opened from a file may import none.
 *
 * They import each other and nothing else, as named exports only; so each import can go, and each export loses its keyword,
 * when those that are imported stand first. A name that two of them declare is a syntax error, which the tests would see.
 */
import { readFileSync } from 'node:fs';
import { MillraceError } from '../../../errors.js';

const MAIN = './main.js';
const FOLDER = new URL('../page/', import.meta.url);

let joined: string | undefined;

export function pageScript(): string {
  joined ??= [...modulesInOrder(MAIN, new Map()).values()].join('\n');
  return joined;
}

/** Depth first, so that what is imported comes before what imports it. */
function modulesInOrder(name: string, done: Map<string, string>): Map<string, string> {
  const source = readFileSync(new URL(name, FOLDER), 'utf8');
  const imports = /^import \{[^}]*\} from '([^']+)';\n/gm;
  for (const [, imported] of source.matchAll(imports)) {
    if (!done.has(imported!)) modulesInOrder(imported!, done);
  }
  const body = source
    .replace(imports, '')
    .replace(/^export (?=(?:async )?(?:function|class|const|let) )/gm, '')
    .replace(/^export \{\};\n/gm, '')
    .replace(/^\/\/# sourceMappingURL=.*$/gm, '');
  const left = /^(?:import|export)\b.*/m.exec(body);
  if (left !== null) {
    throw new MillraceError(
      'MILLRACE_INTERNAL',
      `The page's module '${name}' cannot be joined to others: ${left[0]}`,
    );
  }
  done.set(name, body);
  return done;
}
