/**
 * Keeps one of oneDNN's kernels from destroying memory.
 *
 * With oneDNN on, TensorFlow 2.15's filter gradients of 1×1 convolutions with a stride above 1, full as in every ResNet or
 * depthwise, write past their buffers; the process dies later, in `free`. A few dozen such calls are enough. Random shapes of
 * all other convolutions, pooling, batch norm and products ran clean by the thousand. The gradient is the same as that of a
 * 1×1 convolution with stride 1 over every n-th pixel, so that is what runs instead.
 *
 * The guard stands around the addon itself, because plain tfjs calls the same kernel in the same process. To be deleted when
 * no supported libtensorflow has the defect.
 */
import type { AttributeName } from './attribute-names.js';
import type { Attribute } from './raw-ops.js';

interface Output {
  readonly id: number;
}

export interface GuardedBinding {
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_INT32: number;
  executeOp(op: string, attributes: readonly Attribute[], inputs: number[], outputCount: number): Output[];
  createTensor(shape: number[], dtype: number, data: Int32Array): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Int32Array;
}

const FILTER_GRADIENTS: readonly string[] = ['Conv2DBackpropFilter', 'DepthwiseConv2dNativeBackpropFilter'];

const guards = new WeakSet<object>();

/** A binding like `real`, which it goes on using, with the guard in front; `real` itself if it is one. */
export function guardBinding<Binding extends GuardedBinding>(real: Binding): Binding {
  if (guards.has(real)) return real;
  const guarded = Object.create(real) as Binding;
  Object.defineProperty(guarded, 'executeOp', {
    value: (op: string, attributes: readonly Attribute[], inputs: number[], outputCount: number) => {
      if (FILTER_GRADIENTS.includes(op)) {
        const strides = attributes.find(({ name }) => name === 'strides')?.value as number[] | undefined;
        if (strides?.some(stride => stride !== 1) === true && hasPointFilter(real, inputs[1]!)) {
          return overEveryNthPixel(real, op, attributes, inputs, strides);
        }
      }
      return real.executeOp(op, attributes, inputs, outputCount);
    },
  });
  guards.add(guarded);
  return guarded;
}

/** Whether all of a filter's spatial axes are 1; its shape ends in the two channel axes. */
function hasPointFilter(binding: GuardedBinding, shape: number): boolean {
  return binding
    .tensorDataSync(shape)
    .slice(0, -2)
    .every(size => size === 1);
}

function overEveryNthPixel(
  binding: GuardedBinding,
  op: string,
  attributes: readonly Attribute[],
  [x, shape, dy]: number[],
  strides: readonly number[],
): Output[] {
  const rank = strides.length;
  const zeros = binding.createTensor([rank], binding.TF_INT32, new Int32Array(rank));
  const steps = binding.createTensor([rank], binding.TF_INT32, Int32Array.from(strides));
  const everything = 2 ** rank - 1;
  const mask = (name: AttributeName, value: number): Attribute => ({
    name,
    type: binding.TF_ATTR_INT,
    value,
  });
  const elementType = attributes.find(({ name }) => name === 'T')!;
  const [slice] = binding.executeOp(
    'StridedSlice',
    [
      elementType,
      { name: 'Index', type: binding.TF_ATTR_TYPE, value: binding.TF_INT32 },
      mask('begin_mask', everything),
      mask('end_mask', everything),
      mask('ellipsis_mask', 0),
      mask('new_axis_mask', 0),
      mask('shrink_axis_mask', 0),
    ],
    [x!, zeros, zeros, steps],
    1,
  );
  const dense = attributes.map(attribute =>
    attribute.name === 'strides' ? { ...attribute, value: strides.map(() => 1) } : attribute,
  );
  const outputs = binding.executeOp(op, dense, [slice!.id, shape!, dy!], 1);
  for (const id of [zeros, steps, slice!.id]) binding.deleteTensor(id);
  return outputs;
}
