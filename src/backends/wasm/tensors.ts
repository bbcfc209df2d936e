/** tfjs tensors on the heap, for what writes them itself. */
import { tf } from '../../tf.js';
import { allocate, type WasmBackend } from './kernels/heap.js';

/** A float32 tensor with undefined content, which the current scope tracks. */
export function newTensor(backend: WasmBackend, shape: readonly number[]): tf.Tensor {
  return tf.engine().makeTensorFromTensorInfo(allocate(backend, shape));
}
