/** `npm run docs`: every export has its page, says what it is, and links to what exists. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TYPEDOC = join(ROOT, 'node_modules', 'typedoc', 'bin', 'typedoc');
const TIMEOUT_MS = 300_000;

type Outcome = { readonly code: number; readonly output: string };

/** Does everything but write the pages. */
async function typedoc(options: string): Promise<Outcome> {
  const args = [TYPEDOC, '--options', options, '--emit', 'none'];
  try {
    const { stdout, stderr } = await run(process.execPath, args, { cwd: ROOT });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}

describe('the pages of the public face', () => {
  it('are complete, with no dead link', { timeout: TIMEOUT_MS }, async () => {
    expect(await typedoc(join(ROOT, 'typedoc.json'))).toMatchObject({ code: 0 });
  });

  it('would be refused for an export that says nothing', { timeout: TIMEOUT_MS }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-docs-'));
    try {
      const options = JSON.parse(await readFile(join(ROOT, 'typedoc.json'), 'utf8')) as object;
      const compiler = { files: ['index.ts'], compilerOptions: { skipLibCheck: true, types: [] } };
      await writeFile(join(directory, 'index.ts'), 'export function silent(): void {}\n');
      await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(compiler));
      const own = { entryPoints: ['index.ts'], tsconfig: 'tsconfig.json', readme: 'none' };
      await writeFile(join(directory, 'typedoc.json'), JSON.stringify({ ...options, ...own }));
      const { code, output } = await typedoc(join(directory, 'typedoc.json'));
      expect(code).not.toBe(0);
      expect(output).toMatch(/silent.*does not have any documentation/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
