/** A LayersModel as a graph: what it consists of, where it may be cut, what crosses a cut, and all of it as plain data. */
export { assertCompiled, compileSpec, type FunctionLocator, functionLocator } from './compile-spec.js';
export { probeCoupling, type SampleCoupling } from './coupling.js';
export { closedCuts, crossingValues, cutPoints } from './cuts.js';
export { describeStages, describeWhole, sharedWeights } from './describe.js';
export { type FollowingNode, followingActivations, partingCuts } from './following.js';
export { assertGradientsReachWeights } from './gradient-reach.js';
export { type GraphLayer, type GraphNode, type GraphValue, type ModelGraph, readGraph } from './graph.js';
export { type LossWeights, lossWeightsOf } from './loss-weights.js';
export { maskSizes } from './mask-sizes.js';
export {
  divisibilityIn,
  replicaGradients,
  replicaMessage,
  shareWeights,
  steppingReplicas,
  type WeightShares,
} from './replicas.js';
export { inferShapes } from './shapes.js';
export { type CutModel, type CutStage, cutModel, type StageEdgeValues, stageTopology } from './stages.js';
export { assertTracedLayers } from './traced-layers.js';
export { optimizedWeights, trainableWeights } from './trainable.js';
export { canonicalWeights } from './weights.js';
