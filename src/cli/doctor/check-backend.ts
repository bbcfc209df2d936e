/** Asks a child process what one backend can do. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { InstructionSet } from '../../backends/tensorflow/index.js';
import type { BackendName } from '../../protocol/stage-spec.js';
import { type KernelGap, kernelGaps } from './training-kernels.js';

export const BACKEND_RESULT_MARK = 'millrace-backend:';
const CHECK_TIMEOUT_MS = 60_000;

/** What the child prints. */
export interface LoadedBackend {
  readonly version: string;
  /** Kernels that the backend's npm package registers. */
  readonly packageKernels: readonly string[];
  /** Those, and the ones that Millrace adds in its workers. */
  readonly kernels: readonly string[];
  /** Null where the question does not arise. */
  readonly simd: boolean | null;
  readonly threads: boolean | null;
  /** What Millrace's own ops in TensorFlow run on, or that there are none. */
  readonly ownOps: InstructionSet | 'none' | null;
}

export type BackendCheck =
  | { readonly name: BackendName; readonly loads: false; readonly reason: string }
  | {
      readonly name: BackendName;
      readonly loads: true;
      readonly version: string;
      readonly simd: boolean | null;
      readonly threads: boolean | null;
      readonly ownOps: InstructionSet | 'none' | null;
      /** What the backend's package lacks for training and Millrace supplies. */
      readonly supplied: readonly string[];
      /** What is lacking even then. */
      readonly gaps: readonly KernelGap[];
    };

export async function checkBackend(
  name: BackendName,
  childPath = fileURLToPath(new URL('./backend-child.js', import.meta.url)),
  timeoutMs = CHECK_TIMEOUT_MS,
): Promise<BackendCheck> {
  const end = await runChild(childPath, name, timeoutMs);
  const line = end.stdout.split('\n').find(text => text.startsWith(BACKEND_RESULT_MARK));
  if (end.problem !== null || line === undefined) {
    return { name, loads: false, reason: end.problem ?? errorLine(end.stderr) };
  }
  const loaded = JSON.parse(line.slice(BACKEND_RESULT_MARK.length)) as LoadedBackend;
  const packageGaps = kernelGaps(loaded.packageKernels).flatMap(gap => gap.kernels);
  const gaps = kernelGaps(loaded.kernels);
  const stillMissing = new Set(gaps.flatMap(gap => gap.kernels));
  const supplied = [...new Set(packageGaps)].filter(kernel => !stillMissing.has(kernel));
  const { version, simd, threads, ownOps } = loaded;
  return { name, loads: true, version, simd, threads, ownOps, supplied, gaps };
}

interface ChildEnd {
  readonly stdout: string;
  readonly stderr: string;
  /** Why there is no result, when the child did not end by itself with a message. */
  readonly problem: string | null;
}

function runChild(childPath: string, name: BackendName, timeoutMs: number): Promise<ChildEnd> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [childPath, name], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: process.env['TF_CPP_MIN_LOG_LEVEL'] ?? '2' },
    });
    // Not the option of `spawn`, which does not tell whether it was the one that killed the child.
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', text => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', text => (stderr += text));
    child.once('error', error => {
      clearTimeout(timer);
      resolve({ stdout, stderr, problem: error.message });
    });
    child.once('close', (_exitCode, signal) => {
      clearTimeout(timer);
      const crash = signal === null ? null : `crashed with ${signal}`;
      const isLate = timedOut && signal !== null;
      resolve({ stdout, stderr, problem: isLate ? `gave no answer within ${timeoutMs / 1000} s` : crash });
    });
  });
}

/** The line of a Node stack trace that says what happened. */
function errorLine(stderr: string): string {
  const lines = stderr.split('\n').map(line => line.trim());
  const naming = lines.find(line => /^(?:Uncaught )?\w*Error\b.*:/.test(line));
  return naming ?? lines.find(line => line !== '') ?? 'ended without a result';
}
