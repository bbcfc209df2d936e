/** Ways to cut a model into stages. */
export {
  type BalancedPartition,
  type BalanceOptions,
  partitionByTime,
  type TransportCost,
} from './balanced.js';
export { partitionByName } from './by-name.js';
export { PartitionError } from './errors.js';
export { partitionByParameters } from './parameters.js';
export type { Cuts, MeasuredProblem, MeasuredUnit, PartitionProblem, PartitionUnit } from './problem.js';
export { partitionUniformly } from './uniform.js';
