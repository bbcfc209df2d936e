/** Which of TensorFlow's ops something runs. */
import * as tf from '@tensorflow/tfjs';

/** TensorFlow's builds for other processors are without oneDNN, and kernels then go by ops that every build has. */
export const HAS_ONEDNN = process.arch === 'x64' && process.env['TF_ENABLE_ONEDNN_OPTS'] !== '0';

interface Backend {
  executeSingleOutput(op: string, ...rest: unknown[]): unknown;
  executeMultipleOutputs(op: string, ...rest: unknown[]): unknown;
}

/** @returns the names of the ops that were called one by one, and what `run` returns */
export function opsOf<T>(run: () => T): [ops: string[], result: T] {
  const backend = tf.backend() as unknown as Backend;
  const ops: string[] = [];
  const methods = ['executeSingleOutput', 'executeMultipleOutputs'] as const;
  for (const method of methods) {
    const original = backend[method];
    backend[method] = (op, ...rest) => {
      ops.push(op);
      return original.call(backend, op, ...rest);
    };
  }
  try {
    return [ops, run()];
  } finally {
    // The methods of the class come back into sight.
    for (const method of methods) delete (backend as Partial<Backend>)[method];
  }
}
