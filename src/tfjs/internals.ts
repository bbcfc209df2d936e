/**
 * Everything that Millrace needs of TensorFlow.js beyond its public API, in one room.
 *
 * tfjs 4.22 is a peer dependency pinned to its minor version, so these members can be relied on; still, each
 * accessor checks what it reads and fails with the member's name, because the user's copy is the user's. Nothing
 * outside this room reads a private member of tfjs.
 */
export {
  allowTraining,
  baseCallbackClass,
  compiled,
  isCompiled,
  isTraining,
  isTrainingStopped,
  type LossOrMetric,
  setHistory,
  setTraining,
} from './compiled-model.js';
export {
  collectTensors,
  disposeTape,
  isTapeOn,
  labelTape,
  recordTape,
  renewVariable,
  saveWithLastNode,
  type TapeNode,
  tapeLabel,
  tapeLength,
  withoutTape,
} from './engine.js';
export {
  areAbsent,
  type BatchNormParts,
  batchNormParts,
  buildLayer,
  disposeRecurrentState,
  drawsRandomNumbers,
  type GraphCall,
  innerLayers,
  insideAndItself,
  isBatchNorm,
  isStateful,
  type Layer,
  type LayerVariable,
  ownStateWeights,
  ownWeights,
  producerOf,
  regularizationLosses,
  supportsMasking,
  variableOf,
  variesByCall,
} from './layers.js';
export {
  disposeOptimizer,
  hasReadableSlots,
  learningRateOf,
  setIterations,
  setLearningRate,
  stepsByElement,
} from './optimizers.js';
export { fromRegisteredConfig, isRegisteredClass } from './registry.js';
