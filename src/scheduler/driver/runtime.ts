/**
 * The running side of a trainer: workers with their stages, sessions, and the weights in step with the wrapped model.
 * It is made again when a worker has died or the model was compiled again; plans survive that.
 */
import { availableParallelism } from 'node:os';
import type * as tf from '@tensorflow/tfjs';
import { ModelError } from '../../errors.js';
import {
  assertCompiled,
  assertGradientsReachWeights,
  cutModel,
  describeStages,
  probeCoupling,
  type SampleCoupling,
} from '../../model/index.js';
import type { ResolvedOptions } from '../../options.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { CompileSpec, StageSpec } from '../../protocol/stage-spec.js';
import { forwardOnly } from '../plan/index.js';
import { isOpen } from './auto/open.js';
import type { Tuner } from './auto/tuner.js';
import { openTuner, tunerOf } from './auto/tuner-of.js';
import { type CompiledIdentity, endsOf, identityOf, isSameIdentity } from './compiled-identity.js';
import { sumsLayoutOf } from './logs.js';
import { profileModel } from './measure.js';
import { ModelMemory } from './memory.js';
import { type ModelPlan, type PlanRequest, partsOf } from './model-plan.js';
import { checkPlan, countStages, planModel } from './plan-model.js';
import { type ProfiledSize, RememberedProfiles } from './profile-store.js';
import { compileSpecOf, type RuntimeParts, startPool } from './runtime-parts.js';
import { DriverSession, type SessionGeometry } from './session.js';
import { layOutSharedWeights } from './shared-weights.js';
import { StateWatch } from './state-watch.js';
import { WeightSync } from './weights.js';
import type { WorkerPool } from './worker-pool.js';

/** Sessions kept open at a time: training, validating and predicting, each at a full size and a leftover one. */
const MAX_OPEN_SESSIONS = 6;

export class Runtime {
  #plan: ModelPlan;
  readonly #parts: RuntimeParts;
  /** What the plan was made from. */
  readonly #request: PlanRequest;
  #pool: WorkerPool;
  /** While a broken pool is replaced. */
  #replacing: Promise<void> | undefined;
  readonly #closing = new AbortController();
  /** What the stages were built for; `undefined` where building them did not succeed. */
  #compiledAs: CompiledIdentity | undefined;
  #compile: CompileSpec;
  #specs: readonly StageSpec[];
  #sync: WeightSync;
  /** Inputs and outputs that the graph was read from. */
  readonly #ends: readonly tf.SymbolicTensor[];
  #states: StateWatch | undefined;
  /** Looks for a better plan while the model is trained; `undefined` where the user has asked for one. */
  #tuner: Tuner | undefined;
  /** Time that building the stages took the last time. */
  #adoptionMs = 0;
  /** The first one was used longest ago. */
  readonly #sessions = new Set<DriverSession>();

  private constructor(parts: RuntimeParts, request: PlanRequest, plan: ModelPlan, pool: WorkerPool) {
    this.#parts = parts;
    this.#request = request;
    this.#plan = plan;
    this.#pool = pool;
    this.#compiledAs = identityOf(parts.graph.model);
    this.#compile = compileSpecOf(parts);
    this.#specs = describeStages(plan.cut, plan.replicas);
    this.#sync = this.#newSync();
    this.#ends = endsOf(parts.graph.model);
  }

  /** Starts the workers, plans, and builds the stages. Leaves nothing behind when it throws. */
  static async start(parts: RuntimeParts): Promise<Runtime> {
    const { graph, options } = parts;
    assertCompiled(graph.model);
    assertGradientsReachWeights(graph);
    const compile = compileSpecOf(parts);
    const { workerCount, ...counts } = countStages(graph, options, availableParallelism());
    const request = { graph, options, ...counts, coupling: probeCoupling(graph) };
    checkPlan(request);
    const pool = await startPool(parts, workerCount, parts.signal);
    const giveUp = (): void => void pool.close();
    parts.signal?.addEventListener('abort', giveUp);
    try {
      const profiles = new RememberedProfiles(parts.profiles);
      const planned = { ...request, compile, profiles };
      const runtime = new Runtime(parts, planned, await planModel(planned, pool), pool);
      const buildStart = performance.now();
      await runtime.#build();
      runtime.#adoptionMs = performance.now() - buildStart;
      if (parts.decidesByPrediction !== true) runtime.#tuner = tunerOf(runtime, planned, true);
      else if (isOpen(options)) {
        runtime.#tuner = openTuner(runtime, planned);
        await runtime.#tuner.decideByPrediction();
      }
      runtime.#states = new StateWatch(graph.layers.map(({ layer }) => layer));
      return runtime;
    } catch (error) {
      await pool.close();
      throw error;
    } finally {
      parts.signal?.removeEventListener('abort', giveUp);
    }
  }

  get plan(): ModelPlan {
    return this.#plan;
  }

  get tuner(): Tuner | undefined {
    return this.#tuner;
  }

  get adoptionMs(): number {
    return this.#adoptionMs;
  }

  get pool(): WorkerPool {
    return this.#pool;
  }

  get compile(): CompileSpec {
    return this.#compile;
  }

  /** Makes the workers ready for another run: alive, built for the model as compiled now, at the model's weights. */
  async prepare(): Promise<void> {
    this.#assertSameLayers();
    const identity = identityOf(this.#parts.graph.model);
    if (this.#pool.isBroken) {
      this.#replacing = this.#replacePool();
      await this.#replacing;
      await this.#rebuild(identity);
    } else if (this.#compiledAs === undefined || !isSameIdentity(identity, this.#compiledAs)) {
      await this.#rebuild(identity);
    } else if (this.#sync.isStale || (await this.#sync.isOptimizerStale())) {
      await this.#sync.push();
    }
    await this.#passOnResets();
  }

  #assertSameLayers(): void {
    const { model } = this.#parts.graph;
    const ends = endsOf(model);
    if (ends.length === this.#ends.length && ends.every((end, index) => end === this.#ends[index])) return;
    throw new ModelError(
      `Layers of the model '${model.name}' were added or removed since this trainer was made, which trains the layers of then. ` +
        'Compile the model and make a new trainer with pipeline(model).',
    );
  }

  async #replacePool(): Promise<void> {
    await this.#pool.close();
    this.#pool = await startPool(this.#parts, this.#pool.workerCount, this.#closing.signal);
  }

  async #rebuild(identity: CompiledIdentity): Promise<void> {
    assertCompiled(this.#parts.graph.model);
    assertGradientsReachWeights(this.#parts.graph);
    const coupling = probeCoupling(this.#parts.graph);
    const { mixing, scalarLosses } = coupling;
    if (mixing !== undefined && partsOf(this.#plan) > 1) this.#stopSharing(mixing);
    this.#compile = compileSpecOf(this.#parts);
    if (this.#compiledAs !== undefined && !isSameIdentity(identity, this.#compiledAs))
      this.#tuneAnew(coupling);
    this.#compiledAs = undefined;
    // Edges carry gradients only where something above them can be trained, which compiling may have changed.
    const cut = cutModel(this.#parts.graph, this.#plan.cut.cuts);
    this.#plan = { ...this.#plan, cut, scalarLosses, workerBytes: this.#workerBytes(this.#plan) };
    this.#specs = describeStages(this.#plan.cut, this.#plan.replicas);
    this.#sync = this.#newSync();
    await this.#build();
    // Not before: a build that failed is tried again by the next call.
    this.#compiledAs = identity;
  }

  /** The samples of a mini-batch belong together from now on. One worker can train that, where nobody asked for more. */
  #stopSharing(mixing: string): void {
    const onOneWorker = this.#tuner?.onOneWorker;
    if (onOneWorker === undefined) {
      throw new ModelError(
        `The model was compiled again, and now ${mixing} ties the samples of a mini-batch together, which this trainer cuts ` +
          `into ${partsOf(this.#plan)} parts. Make a new trainer with pipeline(model).`,
      );
    }
    this.#plan = onOneWorker;
  }

  /** What a tuner that has not decided yet knows of the model may not hold any more once that was compiled again. */
  #tuneAnew(coupling: SampleCoupling): void {
    if (this.#tuner === undefined || this.#tuner.isDecided) return;
    const request = { ...this.#request, coupling, compile: this.#compile };
    this.#tuner = tunerOf(this, request, false);
  }

  /** Under the optimizer and with the frozen weights of now. */
  #workerBytes({ cut, ...residents }: ModelPlan): readonly number[] {
    const { graph, options } = this.#parts;
    const memory = new ModelMemory(graph, this.#compile.optimizer);
    return memory.workerBytes(cut.cuts, { ...residents, batchSize: options.batchSize });
  }

  #newSync(): WeightSync {
    const { workerOfStage, cut } = this.plan;
    return new WeightSync(cut, this.#specs, stage => this.#pool.worker(workerOfStage[stage]!));
  }

  /** Goes on with the same weights and optimizer under another plan. Only while nothing runs. */
  async adopt(plan: ModelPlan): Promise<void> {
    const start = performance.now();
    await this.pullWeights();
    await this.pullOptimizer();
    // What can be trained may have changed since the plan was made.
    const { scalarLosses, cut } = this.#plan;
    // What the workers step with has not: a model that was compiled again is rebuilt before.
    const newCut = cutModel(this.#parts.graph, plan.cut.cuts, cut.dividesWeights);
    this.#plan = { ...plan, scalarLosses, cut: newCut };
    this.#specs = describeStages(this.#plan.cut, plan.replicas);
    this.#sync = this.#newSync();
    // A build that fails is tried again by the next call.
    const identity = this.#compiledAs;
    this.#compiledAs = undefined;
    await this.#build();
    this.#compiledAs = identity;
    this.#adoptionMs = performance.now() - start;
  }

  async #build(): Promise<void> {
    this.#sessions.clear();
    const { workerOfStage, cut, replicas } = this.plan;
    const shared = layOutSharedWeights(cut, replicas);
    await this.#pool.all((worker, index) =>
      worker.build(
        this.#specs.filter(({ stage }) => workerOfStage[stage] === index),
        this.#compile,
        shared,
      ),
    );
    await this.#sync.push();
  }

  /**
   * A session for mini-batches of this mode and size: the smallest open one that holds them, or a new one.
   *
   * @param outgrown a session that was opened for mini-batches of the same source and turned out too small. The new one
   *   gets twice the room that it needs, so that sizes that go on growing do not open a session each.
   */
  async session(geometry: SessionGeometry, outgrown?: DriverSession): Promise<DriverSession> {
    const open = this.#openSession(geometry);
    if (open !== undefined) return open;
    if (this.#sessions.size >= MAX_OPEN_SESSIONS) await this.#forget(this.#sessions.values().next().value!);
    if (outgrown === undefined) return this.#open(geometry);
    const opened = await this.#open({ ...geometry, microBatchRows: 2 * geometry.microBatchRows });
    if (opened.holds(outgrown.geometry)) await this.#forget(outgrown);
    return opened;
  }

  /** Moves the session that it finds to the end of the line. */
  #openSession(geometry: SessionGeometry): DriverSession | undefined {
    const holding = [...this.#sessions].filter(session => session.holds(geometry));
    const [smallest] = holding.sort((a, b) => a.arenaBytes - b.arenaBytes);
    if (smallest === undefined) return undefined;
    this.#sessions.delete(smallest);
    this.#sessions.add(smallest);
    return smallest;
  }

  async #forget(session: DriverSession): Promise<void> {
    if (this.#sessions.delete(session)) await session.close();
  }

  async #open(geometry: SessionGeometry): Promise<DriverSession> {
    const { options, poison } = this.#parts;
    const opened = await DriverSession.open(
      this.#pool,
      {
        cut: this.plan.cut,
        schedule: this.#scheduleFor(geometry.mode),
        replicas: this.plan.replicas,
        recompute: this.plan.recompute,
        sumCount: sumsLayoutOf(this.#compile).count,
        stallTimeoutMs: options.stallTimeoutMs,
        poison,
        clipNorm: options.clipNorm,
        synchronisesBatchNorm: this.plan.microBatchCount === 1 && isExact(options),
      },
      geometry,
    );
    this.#sessions.add(opened);
    return opened;
  }

  #scheduleFor(mode: SessionGeometry['mode']): Schedule {
    const { schedule } = this.plan;
    return mode === 'train' ? schedule : forwardOnly(schedule);
  }

  /** Hands out weights that a callback has set. The model must have had the workers' weights when it was called. */
  async pushChangedWeights(): Promise<void> {
    if (this.#sync.isStale) await this.#sync.pushWeights();
    await this.#passOnResets();
  }

  /** The same with the optimizer's state, which the model must have had as well. */
  async pushChanges(): Promise<void> {
    if (await this.#sync.isOptimizerStale()) await this.#sync.push();
    else await this.pushChangedWeights();
  }

  pullWeights(): Promise<void> {
    return this.#sync.pullWeights();
  }

  pullOptimizer(): Promise<void> {
    return this.#sync.pullOptimizer();
  }

  /** After a run that broke off: its session holds half a mini-batch, and the stages stand at different steps. */
  async recover(): Promise<void> {
    // Another plan may be on its way into the workers, or being looked for in them.
    await this.#tuner?.settled;
    this.#sync.invalidate();
    const sessions = [...this.#sessions];
    this.#sessions.clear();
    await Promise.all(sessions.map(session => session.running));
    // What is left of a broken pool would only idle until the next call makes a new one.
    if (this.#pool.isBroken) return this.#pool.close();
    await Promise.allSettled(sessions.map(session => session.close()));
  }

  /** `model.resetStates()` reaches the wrapped model's layers; the states are in the workers. */
  async #passOnResets(): Promise<void> {
    if (this.#states?.take() === true) await this.resetStates();
  }

  async resetStates(): Promise<void> {
    await this.#pool.all(worker => worker.resetStates());
  }

  /** Times of every node of the model as it is now compiled, measured unless they are known. */
  profile(): Promise<readonly ProfiledSize[]> {
    const { graph, options } = this.#parts;
    return profileModel(graph, options.batchSize, this.#compile, this.#pool, this.#request.profiles);
  }

  /** Tensors alive in every worker; tests compare it between steps. */
  memory(): Promise<{ readonly tensorCount: number; readonly tensorBytes: number }[]> {
    return this.#pool.all(worker => worker.memory());
  }

  /** Ends the workers, also those that are only being started in the place of others. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#states?.end();
    await this.#replacing?.catch(() => {});
    await this.#pool.close();
  }
}

/** Whether each mini-batch is to be normalised as a whole wherever that can be. */
function isExact({ batchNorm }: ResolvedOptions): boolean {
  return batchNorm === 'auto' || batchNorm === 'exact';
}
