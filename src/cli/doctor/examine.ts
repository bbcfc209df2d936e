/** Gathers what the doctor reports: this Node and machine, how native TensorFlow was obtained, and each backend. */
import os from 'node:os';
import { assertInstructionSetIsKnown } from '../../backends/tensorflow/instruction-sets.js';
import type { BackendName } from '../../protocol/stage-spec.js';
import {
  BACKEND_NAMES,
  BACKEND_VARIABLE,
  forcedBackend,
  isSupportedNode,
  locateTfjsNode,
  OLDEST_NODE,
  readKernelsReport,
  readSetupReport,
  remediesOf,
} from '../../setup/index.js';
import type { KernelsReport } from '../../setup/kernels-report.js';
import type { Origin } from '../../setup/report.js';
import { type BackendCheck, checkBackend } from './check-backend.js';

export interface NativeStatus {
  /** Version of the npm package, null when it is not installed. */
  readonly tfjsNodeVersion: string | null;
  /** How native TensorFlow was obtained, null when it was not, or when no set-up has run here. */
  readonly obtainedBy: Origin | null;
  readonly madeFrom: string | null;
  readonly attempts: readonly { readonly way: string; readonly ok: boolean; readonly detail: string }[];
  /** What became of Millrace's own kernels for it, null when no set-up has compiled any. */
  readonly kernels: Pick<KernelsReport, 'ok' | 'detail' | 'remedy'> | null;
}

export interface Diagnosis {
  readonly node: { readonly version: string; readonly supported: boolean };
  readonly machine: {
    readonly platform: string;
    readonly cores: number;
    readonly processor: string;
    readonly memoryBytes: number;
  };
  readonly forced: BackendName | null;
  readonly native: NativeStatus;
  readonly backends: readonly BackendCheck[];
  /** The backend that training uses when nothing else is asked for, null when none can be used. */
  readonly used: BackendName | null;
  /** One sentence per thing that the user can do. */
  readonly advice: readonly string[];
}

/** Tests replace what is slow or belongs to the machine. */
export interface ExamineOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly nodeVersion?: string;
  readonly check?: (name: BackendName) => Promise<BackendCheck>;
  readonly report?: ReturnType<typeof readSetupReport>;
  readonly kernels?: KernelsReport | null;
}

export async function examine(options: ExamineOptions = {}): Promise<Diagnosis> {
  const forced = forcedBackend(options.env);
  assertInstructionSetIsKnown(options.env);
  const nodeVersion = options.nodeVersion ?? process.version;
  const report = options.report === undefined ? readSetupReport() : options.report;
  const kernels = options.kernels === undefined ? readKernelsReport() : options.kernels;
  const backends: BackendCheck[] = [];
  // One after another: each is a process that uses all cores for a moment.
  for (const name of BACKEND_NAMES) backends.push(await (options.check ?? checkBackend)(name));
  const usable = backends.filter(({ name, loads }) => loads && (forced === null || name === forced));
  const diagnosis = {
    node: { version: nodeVersion, supported: isSupportedNode(nodeVersion) },
    machine: {
      platform: `${process.platform}-${process.arch}`,
      cores: os.availableParallelism(),
      processor: os.cpus()[0]?.model.trim() || 'unknown',
      memoryBytes: os.totalmem(),
    },
    forced,
    native: {
      tfjsNodeVersion: locateTfjsNode()?.version ?? null,
      obtainedBy: report?.native?.origin ?? null,
      madeFrom: report?.native?.madeFrom ?? null,
      attempts: (report?.attempts ?? []).map(({ way, ok, detail }) => ({ way, ok, detail })),
      kernels: kernels && { ok: kernels.ok, detail: kernels.detail, remedy: kernels.remedy },
    },
    backends,
    used: usable[0]?.name ?? null,
  };
  return { ...diagnosis, advice: advise(diagnosis, report === null ? null : remediesOf(report)) };
}

function advise(diagnosis: Omit<Diagnosis, 'advice'>, remedies: readonly string[] | null): string[] {
  const { node, forced, backends, used, machine, native } = diagnosis;
  const advice: string[] = [];
  if (!node.supported) advice.push(`Install Node ${OLDEST_NODE} or later; this is ${node.version}.`);
  const tensorflow = backends.find(({ name }) => name === 'tensorflow');
  if (tensorflow?.loads === false && (forced === null || forced === 'tensorflow')) {
    const ways = remedies === null || remedies.length === 0 ? [] : remedies.map(capitalized);
    advice.push(
      ...ways,
      `Run 'npx millrace setup' to ${remedies === null ? 'get' : 'try again for'} native TensorFlow.`,
    );
  }
  if (tensorflow?.loads === true && native.kernels?.ok === false) {
    const { remedy } = native.kernels;
    const how = remedy === null ? 'Run' : `${capitalized(remedy)} Then run`;
    advice.push(`${how} 'npx millrace setup' to compile Millrace's own kernels.`);
  }
  if (forced !== null && used === null) {
    advice.push(
      `${BACKEND_VARIABLE}=${forced} asks for a backend that does not load: unset it, or mend that backend.`,
    );
  }
  if (machine.cores === 1)
    advice.push('With one core there is nothing to spread work over; plain fit is as fast.');
  return advice;
}

function capitalized(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}
