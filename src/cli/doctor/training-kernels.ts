/**
 * The tfjs kernels that training needs, by what a model uses. Collected by profiling a training step (forward,
 * backward, update) of every kind of layer, activation, loss and optimizer on tfjs's cpu backend, which has them all.
 */
export const TRAINING_KERNELS: Readonly<Record<string, readonly string[]>> = {
  'dense layers': ['_FusedMatMul', 'BatchMatMul', 'Add', 'Sum', 'Reshape', 'Transpose', 'Identity', 'Cast'],
  convolutions: ['Conv2D', 'FusedConv2D', 'Conv2DBackpropInput', 'Conv2DBackpropFilter'],
  'depthwise and separable convolutions': [
    'DepthwiseConv2dNative',
    'DepthwiseConv2dNativeBackpropInput',
    'DepthwiseConv2dNativeBackpropFilter',
  ],
  '3D convolutions': ['Conv3D', 'Conv3DBackpropInputV2', 'Conv3DBackpropFilterV2'],
  pooling: ['MaxPool', 'MaxPoolGrad', 'AvgPool', 'AvgPoolGrad', 'Max', 'Mean', 'Equal'],
  '3D pooling': ['MaxPool3D', 'MaxPool3DGrad', 'AvgPool3D', 'AvgPool3DGrad'],
  'batch and layer normalization': ['FusedBatchNorm', 'Rsqrt', 'Square', 'Tile', 'Sub', 'Mean'],
  embeddings: ['GatherV2', 'UnsortedSegmentSum', 'NotEqual'],
  'recurrent layers': [
    'Concat',
    'SplitV',
    'Pack',
    'Unpack',
    'Reverse',
    'Slice',
    'Tanh',
    'Sigmoid',
    'ExpandDims',
  ],
  activations: [
    ...['Relu', 'Step', 'LeakyRelu', 'Prelu', 'Elu', 'EluGrad', 'Selu', 'Erf', 'Exp', 'Softplus', 'Softmax'],
    ...['ClipByValue', 'Minimum', 'Maximum', 'Abs', 'Neg'],
  ],
  dropout: ['Floor', 'GreaterEqual', 'OnesLike'],
  'padding and resizing': ['PadV2', 'Slice', 'ResizeNearestNeighbor', 'ResizeNearestNeighborGrad'],
  losses: [
    'Log',
    'Log1p',
    'Select',
    'LogicalAnd',
    'LessEqual',
    'Less',
    'Greater',
    'OneHot',
    'ArgMax',
    'Sqrt',
  ],
  optimizers: ['Multiply', 'RealDiv', 'Sqrt', 'Square', 'ZerosLike', 'Fill'],
  einsum: ['Einsum'],
};

export interface KernelGap {
  /** What a model uses that needs these kernels. */
  readonly feature: string;
  readonly kernels: readonly string[];
}

/** What cannot train with these kernels: each feature that lacks some, with those it lacks. */
export function kernelGaps(available: Iterable<string>): KernelGap[] {
  const known = new Set(available);
  return Object.entries(TRAINING_KERNELS)
    .map(([feature, kernels]) => ({ feature, kernels: kernels.filter(kernel => !known.has(kernel)) }))
    .filter(({ kernels }) => kernels.length > 0);
}
