/** How much replicas exchange at the end of a mini-batch, for the planner. */
import type { ModelGraph } from '../../model/index.js';
import type { Cuts } from '../plan/index.js';

export interface ReplicaBytes {
  /** What is stepped, and written for the others to read. */
  readonly weights: number;
  /** What one replica sends of its gradients: those of dense layers as factors, where these are smaller. */
  readonly gradients: number;
}

export const NO_EXCHANGE: ReplicaBytes = { weights: 0, gradients: 0 };

/**
 * Of every stage, all replicas' shares together. Factors are taken to cross only where there is one micro-batch: of several, W is
 * seldom one action. Where a weight is divided, its right factor crosses to each that steps some of it; that is not counted. Factors
 * cross on TensorFlow alone; on other backends gradients are a smaller part of what everything takes.
 *
 * @param bytes of every value, for one micro-batch
 */
export function replicaBytesOf(
  { nodes, layers }: ModelGraph,
  cuts: Cuts,
  bytes: readonly number[],
  microBatchCount: number,
): readonly ReplicaBytes[] {
  const bytesOf = (values: readonly number[]): number => values.reduce((sum, id) => sum + bytes[id]!, 0);
  const bounds = [0, ...cuts, nodes.length];
  return bounds.slice(1).map((end, stage) => {
    const calls = nodes.slice(bounds[stage], end);
    return [...new Set(calls.map(({ layer }) => layer))].reduce<ReplicaBytes>(
      ({ weights, gradients }, index) => {
        const { layer, weightBytes } = layers[index]!;
        const first = calls.find(call => call.layer === index)!;
        const isProduct = microBatchCount === 1 && layer.getClassName() === 'Dense';
        const factorBytes = isProduct ? bytesOf([...first.inputs, ...first.outputs]) : weightBytes;
        return { weights: weights + weightBytes, gradients: gradients + Math.min(weightBytes, factorBytes) };
      },
      NO_EXCHANGE,
    );
  });
}
