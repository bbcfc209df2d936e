/** Choosing an engine on the main thread, and loading it in a worker. */
import { BackendError } from '../errors.js';
import type { BackendName } from '../protocol/stage-spec.js';
import { BACKEND_VARIABLE, forcedBackend } from '../setup/index.js';
import type { Backend, BackendLoader } from './backend.js';
import { loadCpuBackend } from './cpu/index.js';
import { loadTensorflowBackend, prepareAddon } from './tensorflow/index.js';
import { loadWasmBackend } from './wasm/index.js';

export type { Backend } from './backend.js';

const LOADERS: Readonly<Record<BackendName, BackendLoader>> = {
  tensorflow: loadTensorflowBackend,
  wasm: loadWasmBackend,
  cpu: loadCpuBackend,
};

export interface BackendChoice {
  readonly name: BackendName;
  /** Why this one: forced, asked for, or what was wrong with those before it. */
  readonly reason: string;
  /** Things the user should know, such as threads that could not be limited. */
  readonly warnings: readonly string[];
}

/** Loads the backend into the calling thread. */
export function loadBackend(name: BackendName): Promise<Backend> {
  return LOADERS[name]();
}

/**
 * Picks the engine for the workers and prepares the process for it. `MILLRACE_BACKEND` overrides `auto`. A backend that
 * is asked for by name and cannot load is an error, never another backend in silence.
 */
export function chooseBackend(requested: BackendName | 'auto'): BackendChoice {
  const forced = forcedByEnvironment();
  if (requested !== 'auto') {
    return { name: requested, reason: 'asked for by the `backend` option', warnings: prepare(requested) };
  }
  if (forced !== null) {
    return { name: forced, reason: 'forced by MILLRACE_BACKEND', warnings: prepare(forced) };
  }
  try {
    return { name: 'tensorflow', reason: 'the fastest, and it loads', warnings: prepare('tensorflow') };
  } catch (error) {
    return {
      name: 'wasm',
      reason: `native TensorFlow is not available: ${(error as Error).message}`,
      warnings: prepare('wasm'),
    };
  }
}

function forcedByEnvironment(): BackendName | null {
  try {
    return forcedBackend();
  } catch (error) {
    throw new BackendError(process.env[BACKEND_VARIABLE] ?? '', (error as Error).message, { cause: error });
  }
}

function prepare(name: BackendName): string[] {
  if (name !== 'tensorflow') return [];
  const { loadedBefore, hasOneThread } = prepareAddon();
  return loadedBefore && !hasOneThread
    ? [
        'The program had loaded @tensorflow/tfjs-node before it called pipeline(), with thread counts that every worker ' +
          'now shares. Workers run at about 60 % of their speed that way. They load tfjs-node by themselves, so import ' +
          '@tensorflow/tfjs in its place; or set TF_NUM_INTRAOP_THREADS=1 and TF_NUM_INTEROP_THREADS=1 before starting Node.',
      ]
    : [];
}
