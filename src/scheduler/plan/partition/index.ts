/** Ways to cut a model into stages. */
export {
  type BalancedPartition,
  type BalanceOptions,
  partitionByTime,
  type StageBytes,
  type TransportCost,
} from './balanced.js';
export { partitionByName } from './by-name.js';
export { MemoryLimitError, PartitionError } from './errors.js';
export { partitionByParameters } from './parameters.js';
export type { Cuts, MeasuredProblem, MeasuredUnit, PartitionProblem, PartitionUnit } from './problem.js';
export { type JudgedCuts, type RefineOptions, refineCuts } from './refine.js';
export { partitionUniformly } from './uniform.js';
