/**
 * What a plan is estimated to hold in each worker's memory while it trains.
 *
 * Counted are float32 weights, their gradients, the optimizer's slots, and what layers read and make for every micro-batch that
 * the schedule keeps live at its peak; with recomputation only the stage's inputs of those whose tape is dropped meanwhile. All
 * stages of a worker are taken to be at their peak together.
 *
 * Not counted: the engine itself (some 50 to 150 MB a worker on tensorflow), scratch space of kernels, what layers keep inside
 * them (gates of recurrent layers, inner layers of nested models), gradients of activations while one is made from the
 * other, rows of weights and gradients that replicas divide beside the whole ones, and the shared memory of messages, of the weights that replicas read from each other, and of
 * weights and slots on their way to the main thread.
 */
import { divisibilityIn, type ModelGraph, trainableWeights } from '../../model/index.js';
import { tensorBytes } from '../../protocol/message.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { CompileSpec } from '../../protocol/stage-spec.js';
import { MemoryLimitError, peakLive, peakTapes, type RecomputeMode, type StageBytes } from '../plan/index.js';
import { PROFILE_AXIS } from './measure.js';

/** What decides about the memory of a stage, besides its layers. */
export interface Residents {
  readonly replicas: number;
  /** Samples of the mini-batches that are planned for. */
  readonly batchSize: number;
  /** Of one replica. */
  readonly schedule: Schedule;
  readonly recompute: RecomputeMode;
}

/** Float32 values that an optimizer keeps of every weight, as tfjs's optimizers do; of those that it does not know, as Adam. */
export function slotCountOf({ className, config }: CompileSpec['optimizer']): number {
  const known: Readonly<Record<string, number>> = {
    SGD: 0,
    Momentum: 1,
    Adagrad: 1,
    RMSProp: config['centered'] === true ? 3 : 2,
  };
  return known[className] ?? 2;
}

/** Bytes of stages that end at one node, by their first node. */
interface Row {
  /** Weights and gradients. */
  readonly fixed: Float64Array;
  /** Weights that are stepped, and the largest of them that replicas do not divide: one of them has it whole. */
  readonly stepped: Float64Array;
  readonly largest: Float64Array;
  /** A sample: what the layers read and make, and the part that comes from outside. */
  readonly tape: Float64Array;
  readonly inputs: Float64Array;
}

/** Memory of any stretch of a model's layer calls as a stage. */
export class ModelMemory {
  readonly #graph: ModelGraph;
  readonly #slotCount: number;
  readonly #layers: readonly LayerBytes[];
  readonly #rows = new Map<number, Row>();

  constructor(graph: ModelGraph, optimizer: CompileSpec['optimizer']) {
    this.#graph = graph;
    this.#slotCount = slotCountOf(optimizer);
    this.#layers = layerBytes(graph);
  }

  /** Of a stage that runs nodes `first` … `end − 1`, under this plan. */
  stageBytes({ replicas, batchSize, schedule, recompute }: Residents): StageBytes {
    const live = peakLive(schedule.orders).ofStage;
    const tapes = peakTapes(schedule.orders, recompute);
    const rows = Math.ceil(batchSize / (replicas * schedule.microBatchCount));
    const floor = (first: number, end: number, stage: number): number => {
      const { fixed, stepped, largest, tape } = this.#row(end);
      const slots = this.#slotCount * Math.max(stepped[first]! / replicas, largest[first]!);
      return fixed[first]! + slots + rows * tapes[stage]! * tape[first]!;
    };
    return {
      // The further a stage reaches to the front, the more it holds, but not the more it takes in.
      floor,
      of: (first, end, stage) =>
        Math.ceil(
          floor(first, end, stage) + rows * (live[stage]! - tapes[stage]!) * this.#row(end).inputs[first]!,
        ),
    };
  }

  /** By worker, of all replicas. */
  workerBytes(cuts: readonly number[], residents: Residents): readonly number[] {
    const { of } = this.stageBytes(residents);
    const { schedule, replicas } = residents;
    const bounds = [0, ...cuts, this.#graph.nodes.length];
    const bytes = schedule.orders.map(() => 0);
    for (const [stage, worker] of schedule.workerOfStage.entries())
      bytes[worker]! += of(bounds[stage]!, bounds[stage + 1]!, stage);
    return Array.from({ length: replicas }, () => bytes).flat();
  }

  #row(end: number): Row {
    const known = this.#rows.get(end);
    if (known !== undefined) return known;
    const row = this.#newRow(end);
    this.#rows.set(end, row);
    return row;
  }

  #newRow(end: number): Row {
    const column = (): Float64Array => new Float64Array(end);
    const row: Row = {
      fixed: column(),
      stepped: column(),
      largest: column(),
      tape: column(),
      inputs: column(),
    };
    const { nodes, values } = this.#graph;
    const layers = new Set<number>();
    const seen = new Set<number>();
    const fromOutside = new Set<number>();
    const sum = { fixed: 0, stepped: 0, largest: 0, tape: 0, inputs: 0 };
    for (let first = end - 1; first >= 0; first--) {
      const { layer, inputs, outputs } = nodes[first]!;
      if (!layers.has(layer)) {
        const { weights, stepped, largest } = this.#layers[layer]!;
        sum.fixed += weights + stepped;
        sum.stepped += stepped;
        sum.largest = Math.max(sum.largest, largest);
      }
      layers.add(layer);
      for (const id of outputs) if (fromOutside.delete(id)) sum.inputs -= bytesOf(values[id]!.shape);
      for (const id of inputs) {
        if (seen.has(id)) continue;
        fromOutside.add(id);
        sum.inputs += bytesOf(values[id]!.shape);
      }
      for (const id of new Set([...inputs, ...outputs])) {
        if (!seen.has(id)) sum.tape += bytesOf(values[id]!.shape);
        seen.add(id);
      }
      for (const key of Object.keys(sum) as (keyof Row)[]) row[key][first] = sum[key];
    }
    return row;
  }
}

/** @throws MemoryLimitError with the need of the worker that needs most */
export function assertWithin(workerBytes: readonly number[], limit: number | undefined): void {
  const most = Math.max(...workerBytes);
  if (limit !== undefined && most > limit) throw new MemoryLimitError(`a worker needs ${most} bytes`, most);
}

/**
 * Goes through what is tried, and leaves out what the memory limit does not allow.
 *
 * @throws MemoryLimitError of the least need, where nothing keeps within the limit
 */
export function* thoseThatFit<Try, Result>(
  tries: readonly Try[],
  attempt: (tried: Try) => Result,
): Generator<Result, void> {
  let least: MemoryLimitError | undefined;
  let isAny = false;
  for (const tried of tries) {
    let result: Result;
    try {
      result = attempt(tried);
    } catch (error) {
      if (!(error instanceof MemoryLimitError)) throw error;
      if (least === undefined || error.leastBytes < least.leastBytes) least = error;
      continue;
    }
    isAny = true;
    yield result;
  }
  if (!isAny && least !== undefined) throw least;
}

/** `undefined` where the memory limit does not allow it. */
export function ifItFits<Result>(attempt: () => Result): Result | undefined {
  try {
    return attempt();
  } catch (error) {
    if (error instanceof MemoryLimitError) return undefined;
    throw error;
  }
}

/** The first of what is tried that the memory limit allows. */
export function firstThatFits<Try, Result>(tries: readonly Try[], attempt: (tried: Try) => Result): Result {
  const { value } = thoseThatFit(tries, attempt).next();
  return value as Result;
}

interface LayerBytes {
  readonly weights: number;
  /** Of weights that training updates; a copy of a tied weight counts as much as its owner. */
  readonly stepped: number;
  /** Of those that replicas do not divide. */
  readonly largest: number;
}

function layerBytes(graph: ModelGraph): readonly LayerBytes[] {
  const bytes = graph.layers.map(({ weightBytes }) => ({ weights: weightBytes, stepped: 0, largest: 0 }));
  const isDivisible = divisibilityIn(graph);
  for (const weight of trainableWeights(graph)) {
    const { shape, frozen, places } = weight;
    if (frozen) continue;
    const size = tensorBytes({ dtype: 'float32', shape });
    for (const { layer } of places) {
      bytes[layer]!.stepped += size;
      if (!isDivisible(weight)) bytes[layer]!.largest = Math.max(bytes[layer]!.largest, size);
    }
  }
  return bytes;
}

/** Of one sample. */
function bytesOf(shape: readonly (number | null)[]): number {
  return shape
    .slice(1)
    .reduce<number>((size, axis) => size * (axis ?? PROFILE_AXIS), Float32Array.BYTES_PER_ELEMENT);
}
