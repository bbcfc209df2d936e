/** Runs an example as a user would. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const TIMEOUT_MS = 180_000;

export interface ExampleRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param name folder of the example */
export function runExample(name: string, args: readonly string[]): ExampleRun {
  const script = fileURLToPath(new URL(`../../examples/${name}/train.mjs`, import.meta.url));
  const env = { ...process.env, MILLRACE_BACKEND: '' };
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', env, timeout: TIMEOUT_MS });
}
