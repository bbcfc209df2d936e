/** What a backend is asked to do while something runs. */
import * as tf from '@tensorflow/tfjs';

/** TensorFlow's builds for other processors are without oneDNN, and kernels then go by ops that every build has. */
export const HAS_ONEDNN = process.arch === 'x64' && process.env['TF_ENABLE_ONEDNN_OPTS'] !== '0';

type Method = (...args: unknown[]) => unknown;

/** The methods by which each backend makes what an op results in. */
const MAKING: Readonly<Record<string, readonly string[]>> = {
  tensorflow: ['executeSingleOutput', 'executeMultipleOutputs'],
  wasm: ['makeOutput'],
};

/** @returns the arguments of each op that the current backend ran, and what `run` returns */
function callsOf<T>(run: () => T): [calls: unknown[][], result: T] {
  const backend = tf.backend() as unknown as Record<string, Method>;
  const calls: unknown[][] = [];
  const names = MAKING[tf.getBackend()]!;
  for (const name of names) {
    const original = backend[name]!;
    backend[name] = (...args) => {
      calls.push(args);
      return original.apply(backend, args);
    };
  }
  try {
    return [calls, run()];
  } finally {
    // The methods of the class come back into sight.
    for (const name of names) delete backend[name];
  }
}

export function countOps(run: () => unknown): number {
  return callsOf(run)[0].length;
}

/** @returns the names of TensorFlow's ops that were called one by one, and what `run` returns */
export function opsOf<T>(run: () => T): [ops: unknown[], result: T] {
  const [calls, result] = callsOf(run);
  return [calls.map(([op]) => op), result];
}
