/** After `close` nothing is left: no thread, and no handle that keeps Node alive. Looked at from outside, in child processes. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { BACKENDS } from '../pipeline/helpers.js';

const run = promisify(execFile);
const script = fileURLToPath(new URL('./fixtures/lifetime.mjs', import.meta.url));

interface Report {
  readonly scenario: string;
  readonly threadsBefore: number;
  readonly threadsDuring: number;
  readonly threadsAfter: number;
  readonly resources: readonly string[];
  readonly error?: string;
}

/** Runs scenarios in a process that is killed, and so fails here, unless it ends by itself. */
async function lifetimeOf(backend: string, ...scenarios: string[]): Promise<Report[]> {
  const { stdout } = await run(process.execPath, [script, backend, ...scenarios], { timeout: 60_000 });
  const lines = stdout.split('\n').filter(line => line.startsWith('{'));
  return lines.map(line => JSON.parse(line) as Report);
}

function expectNothingLeft({ scenario, threadsBefore, threadsAfter, resources }: Report): void {
  expect(threadsAfter, `threads of the process after '${scenario}'`).toBe(threadsBefore);
  expect(resources, `handles after '${scenario}'`).not.toContain('MessagePort');
}

describe('a process whose trainer was closed ends by itself, and no thread is left', () => {
  it.each(BACKENDS)('after training, on %s', async backend => {
    const [report] = await lifetimeOf(backend, 'train');
    expect(report!.error).toBeUndefined();
    expect(report!.threadsDuring).toBeGreaterThanOrEqual(report!.threadsBefore + 2);
    expectNothingLeft(report!);
  });

  it('after a fit that was refused, has failed, died, hung, been aborted or closed early', async () => {
    const expected = {
      refused: /7 stages/,
      failed: /the sentinel was met/,
      died: /thread ended/,
      hung: /no progress/,
      aborted: /stopped/,
      'closed early': /closed/,
      'closed while workers are replaced': /closed/,
    };
    const reports = await lifetimeOf('cpu', ...Object.keys(expected));
    expect(reports.map(({ error }) => error)).toEqual(
      Object.values(expected).map(message => expect.stringMatching(message)),
    );
    for (const report of reports) expectNothingLeft(report);
  });
});
