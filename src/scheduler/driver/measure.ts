/** Measured times of a model's layers and bytes across its cuts, for the planner. */
import { crossingValues, describeWhole, inferShapes, type ModelGraph } from '../../model/index.js';
import { tensorBytes } from '../../protocol/message.js';
import type { CompileSpec } from '../../protocol/stage-spec.js';
import type { NodeProfile } from '../../protocol/worker-api.js';
import {
  compileFacts,
  modelFacts,
  type ProfiledSize,
  type ProfileFacts,
  type ProfileStore,
} from './profile-store.js';
import type { WorkerPool } from './worker-pool.js';

/** Size that open axes (sequence lengths, image sizes) are measured with. */
export const PROFILE_AXIS = 32;
/**
 * Until V8 has compiled what runs, a layer's call costs twice what it costs in training, which would speak against
 * micro-batches: 0.18 ms against 0.08 for one depthwise convolution of one row.
 */
const PROFILE_REPEATS = 60;
/** Parts of a mini-batch that are measured; times of other sizes lie on the line through them. */
const PROFILED_PARTS = [8, 2] as const;

/** What one call of a layer costs, in milliseconds. */
export type UnitCost = Omit<NodeProfile, 'outputBytes'>;

const KINDS = ['forwardMs', 'backwardInputMs', 'backwardWeightMs', 'accumulateMs', 'stepMs'] as const;

interface Measurement {
  readonly rows: number;
  readonly units: readonly UnitCost[];
}

/** Times of all units for micro-batches of any size: a fixed price of its calls, and one for each row. */
export class MeasuredCosts {
  readonly #small: Measurement;
  readonly #large: Measurement;

  constructor(small: Measurement, large: Measurement) {
    this.#small = small;
    this.#large = large;
  }

  at(rows: number): readonly UnitCost[] {
    const [small, large] = [this.#small, this.#large];
    const part = large.rows === small.rows ? 0 : (rows - small.rows) / (large.rows - small.rows);
    return small.units.map((unit, index) => {
      const other = large.units[index]!;
      const line = (kind: (typeof KINDS)[number]): number =>
        // More rows never take less time, whatever a disturbed measurement says, and fewer than measured not less than none.
        Math.max(0, unit[kind] + part * Math.max(0, other[kind] - unit[kind]));
      return Object.fromEntries(KINDS.map(kind => [kind, line(kind)])) as unknown as UnitCost;
    });
  }
}

/** Every layer call takes the same: for questions that times do not decide. */
export function equalCosts({ nodes }: ModelGraph): MeasuredCosts {
  const unit = { forwardMs: 1, backwardInputMs: 1, backwardWeightMs: 1, accumulateMs: 0, stepMs: 0 };
  const measurement = { rows: 1, units: nodes.map(() => unit) };
  return new MeasuredCosts(measurement, measurement);
}

/** Times of all units for micro-batches of any size, by measuring two, or as they were measured before. */
export async function measureCosts(...what: Parameters<typeof profileModel>): Promise<MeasuredCosts> {
  const [small, large] = await profileModel(...what);
  return new MeasuredCosts(small!, large!);
}

/**
 * All workers measure at once, so that each sees the caches and memory bandwidth that the others leave it.
 *
 * @param batchSize rows of the mini-batches that are to be planned for
 * @param profiles where to look first, and where to keep what is measured
 * @returns for micro-batches of an eighth and a half of them
 */
export async function profileModel(
  graph: ModelGraph,
  batchSize: number,
  compile: CompileSpec,
  pool: WorkerPool,
  profiles?: ProfileStore,
): Promise<readonly ProfiledSize[]> {
  const sizes = PROFILED_PARTS.map(part => Math.ceil(batchSize / part));
  const measure = async (): Promise<ProfiledSize[]> => {
    const measured: ProfiledSize[] = [];
    for (const rows of sizes) measured.push({ rows, units: await measureUnits(graph, rows, compile, pool) });
    return measured;
  };
  if (profiles === undefined) return measure();
  const facts: ProfileFacts = {
    model: modelFacts(graph),
    inputShapes: sizes.map(rows => profileShapes(graph, rows)),
    compile: compileFacts(compile),
    backend: pool.infos[0]!.backend,
    backendVersion: pool.infos[0]!.backendVersion,
    workers: pool.workerCount,
  };
  const known = await profiles.read(facts);
  if (known !== undefined && isOf(known, graph, sizes)) return known;
  const measured = await measure();
  await profiles.write(facts, measured);
  return measured;
}

/** A file may say anything. */
function isOf(profiled: readonly ProfiledSize[], { nodes }: ModelGraph, sizes: readonly number[]): boolean {
  return (
    profiled.length === sizes.length &&
    profiled.every(({ rows, units }, index) => rows === sizes[index] && units.length === nodes.length)
  );
}

async function measureUnits(
  graph: ModelGraph,
  rows: number,
  compile: CompileSpec,
  pool: WorkerPool,
): Promise<NodeProfile[]> {
  const shapes = profileShapes(graph, rows);
  const inputs = graph.inputs.map((value, index) => ({
    value,
    shape: shapes[index]!,
    dtype: graph.values[value]!.dtype,
  }));
  const spec = describeWhole(graph);
  const profiles = await pool.all(worker => worker.profile(spec, compile, inputs, PROFILE_REPEATS));
  return profiles[0]!.map(({ outputBytes }, index) => {
    const mean = (kind: (typeof KINDS)[number]): number =>
      profiles.reduce((sum, profile) => sum + profile[index]![kind], 0) / profiles.length;
    const times = Object.fromEntries(KINDS.map(kind => [kind, mean(kind)])) as unknown as UnitCost;
    return { ...times, outputBytes };
  });
}

/** Bytes of every value of the graph for a micro-batch of so many rows. */
export function valueBytes(graph: ModelGraph, rows: number): readonly number[] {
  return inferShapes(graph, profileShapes(graph, rows)).map(shape =>
    tensorBytes({ dtype: 'float32', shape }),
  );
}

/** Bytes of activations that cross each of the cuts, from those of every value. */
export function cutBytes(graph: ModelGraph, cuts: readonly number[], bytes: readonly number[]): number[] {
  return cuts.map(position => crossingValues(graph, position).reduce((sum, id) => sum + bytes[id]!, 0));
}

function profileShapes(graph: ModelGraph, rows: number): number[][] {
  return graph.inputs.map(value =>
    graph.values[value]!.shape.map((size, axis) => size ?? (axis === 0 ? rows : PROFILE_AXIS)),
  );
}
