/** Measured times of a model's layers and bytes across its cuts, for the partitioner. */
import { crossingValues, describeWhole, inferShapes, type ModelGraph } from '../../model/index.js';
import type { CompileSpec } from '../../protocol/stage-spec.js';
import type { NodeProfile } from '../../protocol/worker-api.js';
import type { MeasuredUnit, PartitionUnit } from '../plan/index.js';
import type { WorkerPool } from './worker-pool.js';

/** Rows of the micro-batch that layers are measured with: a mini-batch of 64 in four. */
const PROFILE_ROWS = 16;
/** Size that open axes (sequence lengths, image sizes) are measured with. */
const PROFILE_AXIS = 32;
const PROFILE_REPEATS = 5;

/**
 * All workers measure at once, so that each sees the caches and memory bandwidth that the others leave it. The optimizer's
 * step is spread over the micro-batches of a mini-batch: for wide layers it costs more than a forward pass.
 */
export async function measureUnits(
  graph: ModelGraph,
  units: readonly PartitionUnit[],
  microBatchCount: number,
  optimizer: CompileSpec['optimizer'],
  pool: WorkerPool,
): Promise<MeasuredUnit[]> {
  const shapes = profileShapes(graph);
  const inputs = graph.inputs.map((value, index) => ({
    value,
    shape: shapes[index]!,
    dtype: graph.values[value]!.dtype,
  }));
  const spec = describeWhole(graph);
  const profiles = await pool.all(worker => worker.profile(spec, optimizer, inputs, PROFILE_REPEATS));
  return units.map((unit, index) => {
    const measured = profiles.map(profile => profile[index]!);
    return {
      ...unit,
      forwardMs: mean(measured, profile => profile.forwardMs),
      backwardMs: mean(
        measured,
        ({ backwardInputMs, backwardWeightMs, stepMs }) =>
          backwardInputMs + backwardWeightMs + stepMs / microBatchCount,
      ),
    };
  });
}

/** Bytes of activations that cross each of the cuts for the micro-batch that is measured. */
export function cutBytes(graph: ModelGraph, cuts: readonly number[]): number[] {
  const shapes = inferShapes(graph, profileShapes(graph));
  const bytes = shapes.map(
    shape => shape.reduce((size, axis) => size * axis, 1) * Float32Array.BYTES_PER_ELEMENT,
  );
  return cuts.map(position => crossingValues(graph, position).reduce((sum, id) => sum + bytes[id]!, 0));
}

function mean(profiles: readonly NodeProfile[], of: (profile: NodeProfile) => number): number {
  return profiles.reduce((sum, profile) => sum + of(profile), 0) / profiles.length;
}

function profileShapes(graph: ModelGraph): number[][] {
  return graph.inputs.map(value =>
    graph.values[value]!.shape.map((size, axis) => size ?? (axis === 0 ? PROFILE_ROWS : PROFILE_AXIS)),
  );
}
