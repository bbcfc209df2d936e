/** The doctor's diagnosis as text for a terminal. */
import type { Origin } from '../../setup/report.js';
import type { BackendCheck } from './check-backend.js';
import type { Diagnosis } from './examine.js';

const LABEL_COLUMNS = 12;
const GIB = 1024 ** 3;

const HOW_OBTAINED: Readonly<Record<Origin, string>> = {
  'already there': 'installed by other means than this set-up',
  'install script': 'obtained by its own install script',
  'source build': 'built from source',
};

export function formatDiagnosis(diagnosis: Diagnosis): string {
  const { node, machine, forced, used, advice } = diagnosis;
  const memory = `${(machine.memoryBytes / GIB).toFixed(0)} GiB`;
  return [
    line('Node', `${node.version}${node.supported ? '' : ' (too old)'} on ${machine.platform}`),
    line('cores', `${machine.cores} (${machine.processor}), ${memory} memory`),
    ...diagnosis.backends.flatMap(formatBackend),
    ...formatNative(diagnosis),
    line('used', `${used ?? 'none'}${forced === null ? '' : `, forced by MILLRACE_BACKEND=${forced}`}`),
    ...(advice.length === 0 ? [] : ['', 'What to do:', ...advice.map(text => `  - ${text}`)]),
  ].join('\n');
}

function formatOwnOps(runOn: (BackendCheck & { loads: true })['ownOps']): string[] {
  if (runOn === null) return [];
  return [runOn === 'none' ? "without Millrace's own ops" : `with Millrace's own ops (${runOn})`];
}

function formatBackend(check: BackendCheck): string[] {
  if (!check.loads) return [line(check.name, `does not load: ${check.reason}`)];
  const facts = [
    `loads and trains, version ${check.version}`,
    ...(check.simd === null ? [] : [check.simd ? 'with SIMD' : 'without SIMD']),
    ...formatOwnOps(check.ownOps),
    ...(check.threads === null ? [] : [check.threads ? 'with threads' : 'one thread per worker']),
  ];
  return [
    line(check.name, facts.join(', ')),
    ...(check.supplied.length === 0
      ? []
      : [more(`Millrace adds for training: ${check.supplied.join(', ')}`)]),
    ...check.gaps.map(gap => more(`lacks for ${gap.feature}: ${gap.kernels.join(', ')}`)),
  ];
}

function formatNative({ native }: Diagnosis): string[] {
  if (native.tfjsNodeVersion === null) return [line('native', '@tensorflow/tfjs-node is not installed')];
  if (native.attempts.length === 0) {
    return [line('native', `tfjs-node ${native.tfjsNodeVersion}; no set-up has run here yet`)];
  }
  const how = native.obtainedBy === null ? 'not obtained' : HOW_OBTAINED[native.obtainedBy];
  return [
    line('native', `tfjs-node ${native.tfjsNodeVersion}, TensorFlow ${how}`),
    ...(native.madeFrom === null ? [] : [more(`from ${native.madeFrom}`)]),
    ...native.attempts.map(({ way, ok, detail }) => more(`${way}: ${ok ? '' : 'failed: '}${detail}`)),
    ...(native.kernels === null
      ? []
      : [more(`kernels: ${native.kernels.ok ? '' : 'failed: '}${native.kernels.detail}`)]),
  ];
}

const line = (label: string, text: string): string => `${label.padEnd(LABEL_COLUMNS)}${text}`;
const more = (text: string): string => line('', text);
