/** After trials are over, however, no thread is left and Node can end. Looked at from outside, in a child process. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const script = fileURLToPath(new URL('./fixtures/lifetime.mjs', import.meta.url));

interface Report {
  readonly scenario: string;
  readonly threadsBefore: number;
  readonly threadsDuring?: number;
  readonly threadsAfter: number;
  readonly resources: readonly string[];
  readonly statuses?: readonly string[];
}

it('a process whose trials have completed, failed, been aborted or unsubscribed from ends by itself, without threads', async () => {
  const expected = {
    completed: ['completed', 'completed', 'completed'],
    failed: ['failed', 'failed', 'failed'],
    aborted: ['cancelled', 'cancelled'],
    'thrown by the source': ['completed', 'failed'],
    unsubscribed: undefined,
  };
  const scenarios = Object.keys(expected);
  // Killed, and so a failure here, unless it ends by itself.
  const { stdout } = await run(process.execPath, [script, ...scenarios], { timeout: 100_000 });
  const reports = stdout
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as Report);
  expect(reports.map(({ scenario }) => scenario)).toEqual(scenarios);
  for (const { scenario, threadsBefore, threadsAfter, resources, statuses } of reports) {
    expect([...(statuses ?? [])].sort(), scenario).toEqual(expected[scenario as keyof typeof expected] ?? []);
    expect(threadsAfter, `threads after '${scenario}'`).toBe(threadsBefore);
    expect(resources, `handles after '${scenario}'`).not.toContain('MessagePort');
  }
  expect(reports[0]!.threadsDuring).toBeGreaterThanOrEqual(reports[0]!.threadsBefore + 2);
});
