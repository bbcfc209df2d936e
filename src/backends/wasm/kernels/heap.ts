/**
 * Tensors on the heap of tfjs's WebAssembly backend: reading, writing, making, aliasing and freeing them.
 *
 * The only file of this folder that touches the backend's internals. Of `BackendWasm` (tfjs-backend-wasm 4.22,
 * `src/backend_wasm.ts`) it uses `makeOutput`, `typedArrayFromHeap`, `disposeData` and `incRef`, which are public but
 * undocumented; `dataIdMap` (private: tensor id and heap address of each data id), `wasm.HEAPU8` (the heap),
 * `wasm.asm.memory` (the memory under it) and `wasm.tfjs.disposeData` (drops a tensor id from the C++ side's table).
 *
 * Two rules that every kernel here follows:
 * 1. **Views last.** Making an output may grow the heap, which detaches every typed array over it. So a kernel
 *    allocates all it needs first and takes its views after that; running another kernel counts as allocating.
 * 2. **A buffer that was an operand is never rewritten.** XNNPACK packs the right operand of a small matrix product, and
 *    the filter of a convolution, at its first use and keeps the packed copy until the tensor id is disposed. Writing
 *    into the heap afterwards goes unnoticed: the next product still uses the old numbers. Whoever wants to update such
 *    a tensor in place has to give it a new id, as `aliasOf` does.
 */

import { BackendError } from '../../../errors.js';
import { tf } from '../../../tf.js';
import type { ElementWise, ElementWiseRoutine } from './simd/element-wise.js';
import { passOn, type Routines, routinesOn } from './simd/routines.js';

export type TensorInfo = tf.TensorInfo;

interface HeapEntry {
  readonly id: number;
  readonly memoryOffset: number;
}

/** What these kernels need of `BackendWasm`. */
export interface WasmBackend {
  makeOutput(shape: number[], dtype: tf.DataType, memoryOffset?: number): TensorInfo;
  typedArrayFromHeap(info: TensorInfo): Float32Array | Int32Array | Uint8Array;
  disposeData(dataId: object, force?: boolean): boolean;
  incRef(dataId: object): void;
  readonly dataIdMap: { get(dataId: object): HeapEntry; delete(dataId: object): boolean };
  readonly wasm: {
    readonly HEAPU8: Uint8Array;
    readonly asm: { readonly memory: WebAssembly.Memory };
    readonly tfjs: { disposeData(tensorId: number): void };
  };
}

const checkedBackends = new WeakSet<object>();

/** The backend as the kernels see it. Throws when it lacks a member, naming it. */
export function wasmBackend(backend: unknown): WasmBackend {
  const candidate = backend as WasmBackend;
  if (checkedBackends.has(candidate)) return candidate;
  const members: Record<string, boolean> = {
    makeOutput: typeof candidate?.makeOutput === 'function',
    typedArrayFromHeap: typeof candidate?.typedArrayFromHeap === 'function',
    disposeData: typeof candidate?.disposeData === 'function',
    incRef: typeof candidate?.incRef === 'function',
    'dataIdMap.get': typeof candidate?.dataIdMap?.get === 'function',
    'dataIdMap.delete': typeof candidate?.dataIdMap?.delete === 'function',
    'wasm.HEAPU8': candidate?.wasm?.HEAPU8 instanceof Uint8Array,
    'wasm.asm.memory': candidate?.wasm?.asm?.memory instanceof WebAssembly.Memory,
    'wasm.tfjs.disposeData': typeof candidate?.wasm?.tfjs?.disposeData === 'function',
  };
  const missing = Object.keys(members).filter(member => members[member] === false);
  if (missing.length > 0) {
    throw new BackendError(
      'wasm',
      `The WebAssembly backend has no ${missing.join(', no ')}, on which Millrace's training kernels rely. ` +
        'Install @tensorflow/tfjs-backend-wasm ~4.22.0.',
    );
  }
  checkedBackends.add(candidate);
  return candidate;
}

/** A new tensor with undefined content; the caller owns it. */
export function allocate(
  backend: WasmBackend,
  shape: readonly number[],
  dtype: tf.DataType = 'float32',
): TensorInfo {
  return backend.makeOutput([...shape], dtype);
}

export function release(backend: WasmBackend, ...tensors: readonly TensorInfo[]): void {
  for (const tensor of tensors) backend.disposeData(tensor.dataId);
}

/** The same data under another shape; the caller owns the result and must release it like any other tensor. */
export function reshaped(backend: WasmBackend, tensor: TensorInfo, shape: readonly number[]): TensorInfo {
  backend.incRef(tensor.dataId);
  return { dataId: tensor.dataId, shape: [...shape], dtype: tensor.dtype };
}

/** The numbers of a float32 tensor, in place. Valid until the next allocation on this heap. */
export function floats(backend: WasmBackend, tensor: TensorInfo): Float32Array {
  return backend.typedArrayFromHeap(tensor) as Float32Array;
}

/** The whole heap as float32, for copies between tensors without making a view for each. Same validity. */
export function heapFloats(backend: WasmBackend): Float32Array {
  return new Float32Array(backend.wasm.HEAPU8.buffer);
}

/** The whole heap as 32-bit words, for moving numbers of either 32-bit type bit by bit. Same validity. */
export function heapWords(backend: WasmBackend): Int32Array {
  return new Int32Array(backend.wasm.HEAPU8.buffer);
}

/** Where a tensor begins on the heap, in bytes. Stays the same when the heap grows. */
export function addressOf(backend: WasmBackend, tensor: TensorInfo): number {
  return backend.dataIdMap.get(tensor.dataId).memoryOffset;
}

/** The SIMD routines on this heap. */
export function routines(backend: WasmBackend): Routines {
  return routinesOn(backend.wasm.asm.memory);
}

/** One more routine on this heap, made at its first use. */
export function passRoutine(backend: WasmBackend, pass: ElementWise): ElementWiseRoutine {
  return passOn(backend.wasm.asm.memory, pass);
}

/** Where a float32 tensor begins within `heapFloats`. */
export function floatOffset(backend: WasmBackend, tensor: TensorInfo): number {
  return addressOf(backend, tensor) / Float32Array.BYTES_PER_ELEMENT;
}

/**
 * A float32 tensor over part of another one's memory, from `firstElement` on, with an id of its own. It frees nothing:
 * end it with `endAlias`, never with `release`, and before its owner is released.
 */
export function aliasOf(
  backend: WasmBackend,
  owner: TensorInfo,
  firstElement: number,
  shape: readonly number[],
): TensorInfo {
  const address = addressOf(backend, owner) + firstElement * Float32Array.BYTES_PER_ELEMENT;
  return backend.makeOutput([...shape], 'float32', address);
}

export function endAlias(backend: WasmBackend, alias: TensorInfo): void {
  // Without `_free`: the memory is the owner's.
  backend.wasm.tfjs.disposeData(backend.dataIdMap.get(alias.dataId).id);
  backend.dataIdMap.delete(alias.dataId);
}

/** Runs a registered kernel on bare tensors and returns its first output, which the caller owns. */
export function runKernel(
  backend: WasmBackend,
  kernelName: string,
  inputs: Record<string, TensorInfo>,
  attrs: object = {},
): TensorInfo {
  const kernel = tf.getKernel(kernelName, 'wasm');
  if (kernel === undefined || kernel === null) {
    throw new BackendError('wasm', `Kernel '${kernelName}' is not registered for the WebAssembly backend.`);
  }
  return runKernelFunction(backend, kernel.kernelFunc, inputs, attrs);
}

/** The same for a kernel function in hand, such as the one that a faster kernel replaced. */
export function runKernelFunction(
  backend: WasmBackend,
  kernelFunc: tf.KernelFunc,
  inputs: Record<string, TensorInfo>,
  attrs: object = {},
): TensorInfo {
  const result = kernelFunc({ inputs, backend, attrs: attrs as tf.NamedAttrMap });
  return Array.isArray(result) ? (result[0] as TensorInfo) : result;
}

/** Refuses other element types, which would otherwise be read as float32 bit patterns. */
export function requireFloat32(kernelName: string, tensors: Readonly<Record<string, TensorInfo>>): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    if (tensor.dtype !== 'float32') {
      throw new BackendError('wasm', `${kernelName} takes float32 for '${name}', got ${tensor.dtype}.`);
    }
  }
}

/** A tensor's size along one axis. */
export function sizeAt(tensor: TensorInfo, axis: number): number {
  const size = tensor.shape[axis];
  if (size === undefined) throw new RangeError(`A tensor of shape [${tensor.shape}] has no axis ${axis}.`);
  return size;
}
