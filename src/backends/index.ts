/** Choosing an engine on the main thread, and loading it in a worker. */
import { BackendError } from '../errors.js';
import type { BackendName } from '../protocol/stage-spec.js';
import { BACKEND_VARIABLE, forcedBackend } from '../setup/index.js';
import type { Backend, BackendLoader } from './backend.js';
import { loadCpuBackend, registerResizeNearestGradient } from './cpu/index.js';
import { registerDilatedGradients } from './gradients/dilated-convolution.js';
import { registerMissingGradients } from './gradients/missing-gradients.js';
import { registerTileGradient } from './gradients/tile.js';
import { loadTensorflowBackend, prepareAddon, registerDenseBincount } from './tensorflow/index.js';
import { loadWasmBackend } from './wasm/index.js';
import { registerWasmTrainingKernels } from './wasm/kernels/index.js';

export type { Backend, FusedBackend } from './backend.js';
export type {
  ConvolutionSettings,
  Exchange,
  FusedActivation,
  FusedOperations,
  RecurrentSettings,
  RecurrentWeights,
  StepSettings,
} from './fused-operations.js';
export { type GraphPart, NotTraceableError, type RecordParts } from './graph-parts.js';
export type { InPlaceOptimizer, InPlaceOptimizerFactory } from './in-place-optimizer.js';
export { isPlaced, liesIn, markPlaced, type Place, placeIn } from './placed.js';
export { registerFused, sharing } from './register-fused.js';
export {
  type FactorComputation,
  type Factors,
  joinFactors,
  joinProducts,
  makeFactors,
  PLAIN_FACTORS,
  type SampleProduct,
  sampleProduct,
  sampleProductOf,
} from './sample-product.js';
export { isSlotFree } from './slot-free.js';
export { randomAbout1, tellingNumbers, tellsLittle } from './telling.js';
export { asTensor, joinStatistics } from './whole-statistics.js';

// At import: main thread and workers both come through here, a gradient belongs to no backend, and plain models profit.
registerDilatedGradients();
registerMissingGradients();
registerTileGradient();
registerDenseBincount();
registerResizeNearestGradient();
registerWasmTrainingKernels();

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

/** What `auto` tries, fastest first. */
const BY_SPEED: readonly BackendName[] = ['tensorflow', 'wasm', 'cpu'];

/**
 * Picks the engine for the workers, prepares the process for it, and calls `start` with it. `MILLRACE_BACKEND` overrides
 * `auto`. A backend that is asked for by name and cannot load is an error, never another backend in silence; under `auto`
 * the next one is tried, with a warning, whether it was the main thread or `start` that threw the `BackendError`.
 */
export async function withBackend<T>(
  requested: BackendName | 'auto',
  start: (choice: BackendChoice) => Promise<T>,
): Promise<T> {
  const run = (name: BackendName, reason: string, warnings: readonly string[] = []): Promise<T> =>
    start({ name, reason, warnings: [...warnings, ...prepare(name)] });
  if (requested !== 'auto') return run(requested, 'asked for by the `backend` option');
  const forced = forcedByEnvironment();
  if (forced !== null) return run(forced, 'forced by MILLRACE_BACKEND');
  const faults: string[] = [];
  for (const name of BY_SPEED) {
    const why = faults.join('; ');
    const warnings = faults.length === 0 ? [] : [`Workers use the slower backend '${name}': ${why}`];
    try {
      return await run(name, why === '' ? 'the fastest, and it loads' : why, warnings);
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      faults.push(`${name} is not available: ${error.message}`);
    }
  }
  throw new BackendError('auto', `No backend can be loaded. ${faults.join('; ')}`);
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
          '@tensorflow/tfjs in its place; or set TF_NUM_INTRAOP_THREADS=1 and TF_NUM_INTEROP_THREADS=-1 before starting Node.',
      ]
    : [];
}
