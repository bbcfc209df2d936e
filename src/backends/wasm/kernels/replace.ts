/** Registering kernels for the WebAssembly backend: missing ones, and faster ones in place of its own. */
import { tf } from '../../../tf.js';
import { type TensorInfo, type WasmBackend, wasmBackend } from './heap.js';

/** A kernel as this folder writes it: the backend is checked, inputs and attributes are typed by the kernel. */
export type Kernel = (
  backend: WasmBackend,
  inputs: Record<string, TensorInfo>,
  attrs: Record<string, unknown>,
) => TensorInfo;

/** A kernel that falls back to the one it replaces. */
export type Replacement = (original: tf.KernelFunc) => Kernel;

function kernelFunction(kernel: Kernel): tf.KernelFunc {
  return ({ inputs, backend, attrs }) =>
    kernel(
      wasmBackend(backend),
      inputs as Record<string, TensorInfo>,
      (attrs ?? {}) as Record<string, unknown>,
    );
}

/** The functions registered by this module, so that a second call replaces nothing twice. */
const ours = new WeakSet<tf.KernelFunc>();

/**
 * Registers `kernel` unless the backend has one of that name. Returns whether it did.
 *
 * @param setupFunc called by tfjs whenever the backend becomes the current one
 */
export function registerMissing(kernelName: string, kernel: Kernel, setupFunc: () => void): boolean {
  if (registered(kernelName) !== undefined) return false;
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc: kernelFunction(kernel), setupFunc });
  return true;
}

/** Puts a faster kernel in place of the backend's own. Returns whether it did. */
export function registerReplacement(kernelName: string, replacement: Replacement): boolean {
  const original = registered(kernelName);
  if (original === undefined || ours.has(original.kernelFunc)) return false;
  const kernelFunc = kernelFunction(replacement(original.kernelFunc));
  ours.add(kernelFunc);
  tf.unregisterKernel(kernelName, 'wasm');
  // With the original's `setupFunc`: it binds the C++ function that the fallback calls.
  tf.registerKernel({ ...original, kernelFunc });
  return true;
}

function registered(kernelName: string): tf.KernelConfig | undefined {
  return (tf.getKernel(kernelName, 'wasm') as tf.KernelConfig | undefined | null) ?? undefined;
}
