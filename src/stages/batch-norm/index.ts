/** Batch normalization over parts of a mini-batch: micro-batches, and the samples of replicas. */

export type { BatchNormControl, ForwardPass } from './control.js';
export { DeferredBatchNorm } from './deferred.js';
export { ReplicatedBatchNorm } from './replicated.js';
