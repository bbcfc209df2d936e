/**
 * Kernels with which tfjs's WebAssembly backend trains: those that it lacks, faster ones for what it runs in scalar
 * loops, and right ones for what it computes wrongly. Registered through tfjs's public registry, so plain `model.fit` profits as much as Millrace.
 *
 * Reading order: `heap` (tensors), `simd/` (routines on the heap), `replace` (registering), then one file a kernel.
 */
import { batchMatMulReplacement } from './batch-mat-mul.js';
import { conv2dBackpropFilter } from './conv2d-backprop-filter.js';
import { conv2dBackpropInputReplacement } from './conv2d-backprop-input.js';
import { conv3dReplacement } from './conv3d.js';
import { conv3dBackpropFilterReplacement } from './conv3d-backprop-filter.js';
import { conv3dBackpropInputReplacement } from './conv3d-backprop-input.js';
import { depthwiseBackpropFilter } from './depthwise-backprop-filter.js';
import { depthwiseBackpropInput } from './depthwise-backprop-input.js';
import { einsum } from './einsum.js';
import { fusedMatMulReplacement } from './fused-mat-mul.js';
import { gatherReplacement } from './gather.js';
import { identityReplacement } from './identity.js';
import { maxPool3dGradReplacement, maxPoolGradReplacement } from './max-pool-grad.js';
import { maxPool3dReplacement } from './max-pool3d.js';
import { type Kernel, type Replacement, registerMissing, registerReplacement } from './replace.js';
import { withExplicitPadding } from './same-padding.js';
import { sliceReplacement } from './slice.js';
import { sumReplacement } from './sum.js';
import { transposeReplacement } from './transpose.js';
import { unsortedSegmentSum } from './unsorted-segment-sum.js';

export { missingTrainingKernels, TRAINING_KERNELS } from './training-kernels.js';

const MISSING: Readonly<Record<string, Kernel>> = {
  Conv2DBackpropFilter: conv2dBackpropFilter,
  DepthwiseConv2dNativeBackpropFilter: depthwiseBackpropFilter,
  DepthwiseConv2dNativeBackpropInput: depthwiseBackpropInput,
  Einsum: einsum,
  UnsortedSegmentSum: unsortedSegmentSum,
};

/** Faster, right where the backend is wrong, or both; each file says which. */
const REPLACEMENTS: Readonly<Record<string, Replacement>> = {
  BatchMatMul: batchMatMulReplacement,
  Conv2D: withExplicitPadding(false),
  Conv2DBackpropInput: conv2dBackpropInputReplacement,
  Conv3D: conv3dReplacement,
  Conv3DBackpropFilterV2: conv3dBackpropFilterReplacement,
  Conv3DBackpropInputV2: conv3dBackpropInputReplacement,
  DepthwiseConv2dNative: withExplicitPadding(true),
  FusedConv2D: withExplicitPadding(false),
  FusedDepthwiseConv2D: withExplicitPadding(true),
  GatherV2: gatherReplacement,
  Identity: identityReplacement,
  MaxPool3D: maxPool3dReplacement,
  MaxPool3DGrad: maxPool3dGradReplacement,
  MaxPoolGrad: maxPoolGradReplacement,
  Slice: sliceReplacement,
  Sum: sumReplacement,
  Transpose: transposeReplacement,
  _FusedMatMul: fusedMatMulReplacement,
};

/**
 * Registers the kernels for backend `wasm` in this thread, before or after `@tensorflow/tfjs-backend-wasm` is imported
 * and before or after the backend starts. A second call does nothing; a kernel that someone else has added in the meantime
 * is kept. Returns the names registered by this call.
 *
 * As long as that package is not there, there is nothing to replace, and importing it would make wasm the default of a
 * program that has not asked for it. But a kernel may be registered for a backend that does not exist yet, and tfjs calls
 * every kernel's `setupFunc` when its backend starts: those that are added wait there to make the replacements.
 */
export function registerWasmTrainingKernels(): string[] {
  const added = Object.entries(MISSING).filter(([name, kernel]) => registerMissing(name, kernel, replaceAll));
  return [...added.map(([name]) => name), ...replaceAll()];
}

function replaceAll(): string[] {
  return Object.entries(REPLACEMENTS)
    .filter(([name, kernel]) => registerReplacement(name, kernel))
    .map(([name]) => name);
}
