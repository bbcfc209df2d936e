/** What a trainer's running side is made from, and its workers. */
import { compileSpec, type FunctionLocator, lossWeightsOf, type ModelGraph } from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';
import type { BackendName, CompileSpec } from '../../protocol/stage-spec.js';
import type { ProfileStore } from './profile-store.js';
import type { ThreadSource } from './thread-source.js';
import { WorkerPool } from './worker-pool.js';

export interface RuntimeParts {
  readonly graph: ModelGraph;
  readonly options: ResolvedOptions;
  readonly backend: BackendName;
  /** Modules of the `setup` option, as URLs. */
  readonly setup: readonly string[];
  readonly functions: FunctionLocator;
  readonly seed: number;
  /** Poisons freed slots; for tests. */
  readonly poison: boolean;
  /** Where the workers' threads come from. Default: threads of the trainer's own. */
  readonly threads?: ThreadSource | undefined;
  /** Breaks off the start. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a choice that is left to Millrace is made at once, by simulating plans, and never tried in training. */
  readonly decidesByPrediction?: boolean | undefined;
  /** Where measured times of layers outlive the trainer. */
  readonly profiles?: ProfileStore | undefined;
}

export function compileSpecOf({ graph: { model }, functions, options }: RuntimeParts): CompileSpec {
  return compileSpec(model, functions, lossWeightsOf(model, options.lossWeights));
}

export function startPool(
  { backend, setup, seed, options, threads }: RuntimeParts,
  workerCount: number,
  signal?: AbortSignal,
): Promise<WorkerPool> {
  const batchNorm = options.batchNorm === 'auto' ? 'micro-batch' : options.batchNorm;
  const { tracedLayers } = options;
  return WorkerPool.start(
    { workerCount, backend, setup, seed, batchNorm, tracedLayers },
    { threads, signal },
  );
}
