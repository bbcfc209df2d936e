/**
 * The gradient of nearest-neighbour resizing, which up-sampling layers train through. tfjs's own on the cpu backend reads the
 * second sample's gradient at the first one's places as soon as images and gradients differ in size, so that a mini-batch
 * trains to other numbers than its parts. To be deleted when no supported tfjs has the defect.
 */
import { tf } from '../../tf.js';

const KERNEL = { kernelName: 'ResizeNearestNeighborGrad', backendName: 'cpu' } as const;

type Size4D = readonly [number, number, number, number];

/** The attributes of the forward pass, which its gradient gets too. */
interface Resizing {
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
}

interface CpuBackend {
  readSync(dataId: object): Float32Array;
  makeTensorInfo(shape: number[], dtype: 'float32', values: Float32Array): tf.TensorInfo;
}

let replacement: tf.KernelFunc | undefined;

/** Puts it in place of tfjs's in this thread, once. */
export function registerResizeNearestGradient(): void {
  const original = (tf.getKernel(KERNEL.kernelName, KERNEL.backendName) ?? undefined) as
    | tf.KernelConfig
    | undefined;
  if (original === undefined || original.kernelFunc === replacement) return;
  replacement = ({ inputs, backend, attrs }) => {
    const { images, dy } = inputs as unknown as { images: tf.TensorInfo; dy: tf.TensorInfo };
    const cpu = backend as unknown as CpuBackend;
    const values = gradient(
      cpu.readSync(dy.dataId),
      images.shape as unknown as Size4D,
      dy.shape as unknown as Size4D,
      attrs as unknown as Resizing,
    );
    return cpu.makeTensorInfo(images.shape, 'float32', values);
  };
  tf.unregisterKernel(KERNEL.kernelName, KERNEL.backendName);
  tf.registerKernel({ ...original, kernelFunc: replacement });
}

/** Adds every element of `dy` where the forward pass took it from. */
function gradient(
  dy: Float32Array,
  [batch, height, width, depth]: Size4D,
  [, dyHeight, dyWidth]: Size4D,
  resizing: Resizing,
): Float32Array {
  const rows = sources(height, dyHeight, resizing);
  const columns = sources(width, dyWidth, resizing);
  const dx = new Float32Array(batch * height * width * depth);
  let from = 0;
  for (let sample = 0; sample < batch; sample++) {
    for (const row of rows) {
      for (const column of columns) {
        const to = ((sample * height + row) * width + column) * depth;
        for (let channel = 0; channel < depth; channel++) dx[to + channel]! += dy[from++]!;
      }
    }
  }
  return dx;
}

/** For each place along an axis of the resized image, the place that it was taken from. */
function sources(size: number, resized: number, { alignCorners, halfPixelCenters }: Resizing): number[] {
  const isAligned = alignCorners && resized > 1;
  const scale = isAligned ? (size - 1) / (resized - 1) : size / resized;
  return Array.from({ length: resized }, (_, place) => {
    const exact = (halfPixelCenters ? place + 0.5 : place) * scale;
    return Math.max(0, Math.min(size - 1, alignCorners ? Math.round(exact) : Math.floor(exact)));
  });
}
