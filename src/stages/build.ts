/** The stages that a worker holds between sessions: layers with their weights, losses, and the optimizer with its slots. */
import type { Backend, FusedBackend } from '../backends/index.js';
import { StateError } from '../errors.js';
import type { SharedWeights } from '../protocol/shared-weights.js';
import type { CompileSpec, StageSpec } from '../protocol/stage-spec.js';
import { SumsLayout } from '../protocol/sums-layout.js';
import type { OptimizerState, WeightBytes, WorkerInit } from '../protocol/worker-api.js';
import type { Layer } from '../tfjs/internals.js';
import { adaptLayer } from './adapt-layer.js';
import { type BatchNormControl, DeferredBatchNorm, ReplicatedBatchNorm } from './batch-norm/index.js';
import type { EngineMode, StageEngine } from './engine.js';
import { type OutputFunctions, resolveFunctions } from './functions.js';
import { StageLayers } from './layers.js';
import { MeanLoss } from './mean-loss.js';
import { ModelStage } from './model-stage.js';
import { StageOptimizer } from './optimizer.js';
import { Outbox } from './outbox.js';
import { RandomContext, useCounterRandom } from './random/index.js';
import { ReplicaWeights } from './replica-weights.js';
import { SteppedVariables } from './stepped-variables.js';

interface BuiltStage {
  readonly spec: StageSpec;
  readonly layers: StageLayers;
  readonly stepped: SteppedVariables;
  readonly optimizer: StageOptimizer;
  readonly batchNorm: BatchNormControl | undefined;
  readonly replicaWeights: ReplicaWeights | undefined;
  readonly weightsOutbox: Outbox;
  readonly slotsOutbox: Outbox;
}

/** Of all stages of a trainer. */
type BuildOptions = Pick<WorkerInit, 'seed' | 'batchNorm' | 'tracedLayers'>;

export class BuiltStages {
  readonly #stages = new Map<number, BuiltStage>();
  readonly #functions: readonly OutputFunctions[];
  readonly #losses: readonly MeanLoss[];
  readonly #sumsLayout: SumsLayout;
  readonly #backend: Backend;
  readonly #random: RandomContext;

  private constructor(backend: Backend, functions: readonly OutputFunctions[], options: BuildOptions) {
    this.#backend = backend;
    this.#random = new RandomContext(options.seed);
    this.#functions = functions;
    this.#losses = functions.map(each => new MeanLoss(each, backend));
    this.#sumsLayout = new SumsLayout(functions.map(({ metrics }) => metrics.length));
  }

  static async build(
    backend: Backend,
    specs: readonly StageSpec[],
    compile: CompileSpec,
    options: BuildOptions,
    shared?: SharedWeights,
  ): Promise<BuiltStages> {
    const built = new BuiltStages(
      backend,
      await resolveFunctions(compile, backend.fused?.operations),
      options,
    );
    try {
      for (const spec of specs) built.#add(spec, compile, options, shared);
    } catch (error) {
      built.dispose();
      throw error;
    }
    return built;
  }

  #add(
    spec: StageSpec,
    compile: CompileSpec,
    options: BuildOptions,
    shared: SharedWeights | undefined,
  ): void {
    const { fused } = this.#backend;
    const batchNorm = batchNormControl(spec, options, fused?.operations);
    const adapt = (layer: Layer, index: number): void => {
      adaptLayer(layer, this.#backend, options.tracedLayers);
      useCounterRandom(layer, String(index), this.#random);
      batchNorm?.take(layer);
    };
    const layers = new StageLayers(spec, adapt, this.#backend);
    const made: { dispose(): void }[] = [layers];
    try {
      const stepped = new SteppedVariables(spec, layers);
      made.push(stepped);
      const replicaWeights = shared && new ReplicaWeights(spec, layers, stepped, this.#backend, shared);
      const optimizer = new StageOptimizer(
        compile.optimizer,
        stepped.variables,
        fused?.optimizer,
        replicaWeights?.places(),
      );
      made.push(optimizer);
      this.#stages.set(spec.stage, {
        spec,
        layers,
        stepped,
        optimizer,
        batchNorm,
        replicaWeights,
        weightsOutbox: new Outbox(this.#backend),
        slotsOutbox: new Outbox(this.#backend),
      });
    } catch (error) {
      for (const part of made) part.dispose();
      throw error;
    }
  }

  get(stage: number): BuiltStage {
    const built = this.#stages.get(stage);
    if (built === undefined) throw new StateError(`Stage ${stage} was never built in this worker.`);
    return built;
  }

  /** Takes the weights' memory over. */
  writeWeights(stage: number, weights: WeightBytes): void {
    const { layers, stepped, replicaWeights } = this.get(stage);
    layers.write(weights);
    stepped.refresh();
    replicaWeights?.reset();
  }

  readWeights(stage: number): WeightBytes {
    const { layers, weightsOutbox } = this.get(stage);
    return weightsOutbox.put(layers.variables());
  }

  readOptimizer(stage: number): Promise<OptimizerState> {
    const { optimizer, slotsOutbox } = this.get(stage);
    return optimizer.read(slotsOutbox);
  }

  engine(stage: number, mode: EngineMode): StageEngine {
    const parts = {
      ...this.get(stage),
      functions: this.#functions,
      losses: this.#losses,
      backend: this.#backend,
      random: this.#random,
    };
    return new ModelStage({ ...parts, sumsLayout: this.#sumsLayout }, mode);
  }

  resetStates(): void {
    for (const { layers } of this.#stages.values()) layers.resetStates();
  }

  dispose(): void {
    for (const { layers, stepped, optimizer } of this.#stages.values()) {
      layers.dispose();
      stepped.dispose();
      optimizer.dispose();
    }
    this.#stages.clear();
  }
}

function batchNormControl(
  { replicaStages }: StageSpec,
  { batchNorm }: BuildOptions,
  operations: FusedBackend['operations'] | undefined,
): BatchNormControl | undefined {
  if (batchNorm === 'deferred') return new DeferredBatchNorm();
  return replicaStages.length > 1 ? new ReplicatedBatchNorm(operations) : undefined;
}
