/**
 * Keeps the wrapped model and the stages in the workers at the same weights and optimizer state.
 *
 * Between fits the user may change the model as they like: set weights, train it plainly, compile it again. What they
 * touched is noticed by identity: assigning to a tfjs variable gives it a new data id, and compiling makes new objects.
 */

import type { CutModel, ModelGraph } from '../../model/index.js';
import { canonicalWeights, optimizedWeights } from '../../model/index.js';
import { modelStageOf } from '../../protocol/replica.js';
import { optimizerEntries, type StageSpec } from '../../protocol/stage-spec.js';
import type { OptimizerState, TensorBytes } from '../../protocol/worker-api.js';
import { tf } from '../../tf.js';
import { elementsIn, elementsInRows, sharedBytesOf, tensorFrom, tensorFromParts } from '../../tfjs/bytes.js';
import { compiled, hasReadableSlots, setIterations, variableOf } from '../../tfjs/internals.js';
import type { WorkerCalls } from './worker-calls.js';

/** The rows of a slot that one replica steps. */
interface SlotPart {
  readonly begin: number;
  readonly bytes: TensorBytes;
}

/** Finds the worker that holds a stage. */
export type WorkerOfStage = (stage: number) => WorkerCalls;

export class WeightSync {
  readonly #cut: CutModel;
  readonly #specs: readonly StageSpec[];
  readonly #workerOf: WorkerOfStage;
  /** Data ids of the model's variables when both sides were last equal. */
  #synced: readonly object[] = [];
  /** Whether a run broke off, so that the stages' optimizers stand at different steps. */
  #isBroken = false;
  /** The same of the model's optimizer: its step count and the data ids of its slots. */
  #syncedOptimizer: readonly unknown[] = [];

  constructor(cut: CutModel, specs: readonly StageSpec[], workerOf: WorkerOfStage) {
    this.#cut = cut;
    this.#specs = specs;
    this.#workerOf = workerOf;
  }

  /** Whether the user has assigned to a weight since the last synchronisation. */
  get isStale(): boolean {
    const ids = dataIds(this.#cut.graph);
    return ids.length !== this.#synced.length || ids.some((id, index) => id !== this.#synced[index]);
  }

  /** Whether the user has given the optimizer another state since then: assigned to a slot, or set the step count. */
  async isOptimizerStale(): Promise<boolean> {
    const state = await this.#optimizerIdentity();
    const synced = this.#syncedOptimizer;
    return state.length !== synced.length || state.some((part, index) => part !== synced[index]);
  }

  async #optimizerIdentity(): Promise<readonly unknown[]> {
    const optimizer = compiled(this.#cut.graph.model).optimizer_!;
    const slots = (await slotsOf(optimizer)) ?? [];
    return [optimizer.iterations, ...slots.map(({ tensor }) => tensor.dataId)];
  }

  /** Makes the next look find a difference: the workers' weights are not to be trusted. */
  invalidate(): void {
    this.#synced = [];
    this.#isBroken = true;
  }

  /** Model → workers. */
  async push(): Promise<void> {
    const optimizer = await this.#optimizerStates();
    await this.pushWeights();
    await Promise.all(
      this.#specs.map(async ({ stage }) => {
        const worker = this.#workerOf(stage);
        const state = optimizer?.[stage];
        if (state !== undefined) await worker.writeOptimizer(stage, state);
        else if (this.#isBroken) await worker.resetOptimizer(stage);
      }),
    );
    this.#isBroken = false;
    this.#syncedOptimizer = await this.#optimizerIdentity();
  }

  /** Model → workers: weights alone. */
  async pushWeights(): Promise<void> {
    const ids = dataIds(this.#cut.graph);
    await Promise.all(
      this.#specs.map(({ stage }) =>
        this.#workerOf(stage).writeWeights(
          stage,
          sharedBytesOf(stageVariables(this.#cut, stage).map(elementsIn)),
        ),
      ),
    );
    this.#synced = ids;
  }

  /** Workers → model: weights alone. All replicas have the same. */
  async pullWeights(): Promise<void> {
    const specs = this.#specs.filter(({ replica }) => replica === 0);
    // All of them first: if a worker is gone, the model keeps the weights that belong together.
    const buffers = await Promise.all(specs.map(({ stage }) => this.#workerOf(stage).readWeights(stage)));
    for (const [place, { stage }] of specs.entries()) {
      for (const [index, variable] of stageVariables(this.#cut, stage).entries()) {
        const bytes = buffers[place]![index]!;
        tf.tidy(() => variable.assign(tensorFrom(bytes, variable.shape, variable.dtype)));
      }
    }
    this.#synced = dataIds(this.#cut.graph);
  }

  /** Workers → the model's optimizer: slots and step count, so that saving or plain training goes on from here. */
  async pullOptimizer(): Promise<void> {
    const { model } = this.#cut.graph;
    const optimizer = compiled(model).optimizer_!;
    const weights = optimizedWeights(model);
    const states = await Promise.all(
      this.#specs.map(({ stage }) => this.#workerOf(stage).readOptimizer(stage)),
    );
    const groupCount = Math.max(...states.map(state => state.groups.length));
    const iterations = Math.max(...states.map(state => state.iterations));
    const previous = await slotsOf(optimizer);
    if (previous === undefined) {
      setIterations(optimizer, iterations);
      this.#syncedOptimizer = [iterations];
      return;
    }
    const slots: { name: string; tensor: tf.Tensor }[] = [];
    for (let group = 0; group < groupCount; group++) {
      const parts = weights.map((): SlotPart[] => []);
      for (const [stage, { groups }] of states.entries()) {
        for (const [index, { position, rows }] of optimizerEntries(this.#specs[stage]!).entries()) {
          parts[position]!.push({ begin: rows?.begin ?? 0, bytes: groups[group]![index]! });
        }
      }
      for (const [position, weight] of weights.entries()) {
        const { name, shape } = variableOf(weight);
        const ordered = parts[position]!.sort((one, other) => one.begin - other.begin);
        const tensor = tensorFromParts(
          ordered.map(({ bytes }) => bytes),
          shape,
        );
        slots.push({ name: `${name}/slot${group}`, tensor });
      }
    }
    const counter = { name: 'iter', tensor: tf.scalar(iterations, 'int32') };
    await optimizer.setWeights([counter, ...slots]);
    tf.dispose([
      counter.tensor,
      ...slots.map(({ tensor }) => tensor),
      ...previous.map(({ tensor }) => tensor),
    ]);
    this.#syncedOptimizer = await this.#optimizerIdentity();
  }

  /** The model's optimizer state cut into stages; `undefined` where the optimizer keeps none that can be read. */
  async #optimizerStates(): Promise<OptimizerState[] | undefined> {
    const { model } = this.#cut.graph;
    const optimizer = compiled(model).optimizer_!;
    const slots = await slotsOf(optimizer);
    const perGroup = optimizedWeights(model).length;
    if (slots === undefined || perGroup === 0) return undefined;
    const groupCount = Math.floor(slots.length / perGroup);
    return this.#specs.map(spec => ({
      iterations: optimizer.iterations,
      groups: Array.from({ length: groupCount }, (_, group) =>
        sharedBytesOf(
          optimizerEntries(spec).map(({ position, rows }) => {
            const { tensor } = slots[group * perGroup + position]!;
            return rows === undefined ? elementsIn(tensor) : elementsInRows(tensor, rows);
          }),
        ),
      ),
    }));
  }
}

/** A stage's variables in the order in which weights travel. */
function stageVariables({ graph, stages }: CutModel, stage: number): tf.Variable[] {
  return stages[modelStageOf(stage, stages.length)]!.layers.flatMap(layer =>
    canonicalWeights(graph.layers[layer]!.layer).map(variableOf),
  );
}

function dataIds(graph: ModelGraph): object[] {
  return graph.layers.flatMap(({ layer }) =>
    canonicalWeights(layer).map(weight => variableOf(weight).dataId),
  );
}

/** Slot tensors of an optimizer; `undefined` for one that does not let them be read (Adamax, some users'). */
async function slotsOf(
  optimizer: tf.Optimizer,
): Promise<readonly { readonly name: string; readonly tensor: tf.Tensor }[] | undefined> {
  if (!hasReadableSlots(optimizer)) return undefined;
  const [iterations, ...slots] = await optimizer.getWeights();
  iterations?.tensor.dispose();
  return slots;
}
