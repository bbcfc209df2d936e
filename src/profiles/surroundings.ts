/** What measured times depend on besides the model: machine, Node, Millrace, and how the engine runs. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { readKernelsReport } from '../setup/index.js';

/** How the engine was started. */
export interface EngineFacts {
  /** What was said about it, such as that its threads are shared. */
  readonly warnings: readonly string[];
  /** Modules that bring layers of the user's own, as URLs. */
  readonly setup: readonly string[];
  /** Classes of layers that run as graphs. */
  readonly tracedLayers: readonly string[];
}

/** Two measurements under the same surroundings may stand for each other. Plain data: equal ones have equal JSON. */
export interface Surroundings {
  readonly millrace: string;
  readonly node: string;
  readonly platform: string;
  readonly arch: string;
  readonly processor: string;
  readonly cores: number;
  /** Flags of Node's: engines choose other kernels under a profiler, and V8's own flags change what JavaScript takes. */
  readonly nodeFlags: readonly string[];
  /** Whether layers run in fused kernels. */
  readonly fused: string;
  /** Which build of Millrace's own ops TensorFlow has, and what it is kept to; empty where it has none. */
  readonly kernels: string;
  readonly engine: readonly string[];
  /** Content of each set-up module, since a layer's class says nothing of its code. */
  readonly setup: readonly string[];
  readonly tracedLayers: readonly string[];
}

export async function describeSurroundings({
  warnings,
  setup,
  tracedLayers,
}: EngineFacts): Promise<Surroundings> {
  return {
    millrace: await ownVersion(),
    node: process.version,
    platform: process.platform,
    arch: process.arch,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    nodeFlags: [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''],
    fused: process.env['MILLRACE_FUSED'] ?? '',
    kernels: kernelsInUse(),
    engine: warnings,
    setup: await Promise.all(setup.map(digestOf)),
    tracedLayers: [...tracedLayers].sort(),
  };
}

function kernelsInUse(): string {
  const report = process.env['MILLRACE_KERNELS'] === '0' ? null : readKernelsReport();
  if (report?.ok !== true) return '';
  return [report.key, process.env['MILLRACE_INSTRUCTION_SET']].filter(Boolean).join(' on ');
}

async function ownVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}

async function digestOf(url: string): Promise<string> {
  try {
    return createHash('sha256')
      .update(await readFile(fileURLToPath(url)))
      .digest('hex');
  } catch {
    // A loader of the user's may import what is no file.
    return url;
  }
}
