import { type CutModel, stageTopology, steppingReplicas, type WeightShares } from '../../model/index.js';
import type { StageTopology } from '../../protocol/topology.js';
import { replicateTopology } from '../plan/index.js';

/**
 * How the stages of all replicas of a cut model hang together.
 *
 * @param shares see `shareWeights`
 * @param targets whether stages that make outputs are fed their targets, as in training and evaluating
 */
export function replicaTopology(
  cut: CutModel,
  replicas: number,
  shares: WeightShares,
  targets: boolean,
): StageTopology {
  return replicateTopology(stageTopology(cut, targets), replicas, steppingReplicas(cut, replicas, shares));
}
