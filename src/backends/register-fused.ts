/**
 * Registering fused kernels with tfjs, and running them.
 *
 * A kernel's outputs are those that others read. What else its gradient reads is *hidden*: as outputs, tfjs would give each of
 * these tensors a gradient full of zeros.
 */

import type { BackendName } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';
import { isTapeOn, saveWithLastNode } from '../tfjs/internals.js';

type Thunks = Record<string, () => tf.Tensor>;

/** A kernel of one backend and its gradient, which tfjs knows by name alone: no two backends may share the name. */
export interface FusedKernel<Attributes, Output extends tf.Tensor | tf.Tensor[] = tf.Tensor> {
  readonly name: string;
  readonly backend: BackendName;
  /** `hide` takes over tensors that the gradient reads. */
  readonly forward: (
    inputs: Readonly<Record<string, tf.Tensor>>,
    attributes: Attributes,
    hide: (tensors: tf.Tensor[]) => void,
  ) => Output;
  /** Inputs that the gradient reads, and whether it reads the output, of which there is one then. */
  readonly saves: { readonly inputs: readonly string[]; readonly output: boolean };
  /**
   * One thunk per input; what is computed before one is called is computed with B. What several thunks share goes through `sharing`.
   *
   * @param gradients one an output
   * @param saved inputs first, then the output, then what was hidden
   */
  readonly gradient: (gradients: tf.Tensor[], saved: tf.Tensor[], attributes: Attributes) => Thunks;
}

interface Call<Attributes> {
  readonly attributes: Attributes;
  readonly hidden: tf.Tensor[];
}

/** Makes `kernel` known to tfjs and returns the function that runs it. Inputs that are absent are left out. */
export function registerFused<Attributes extends object, Output extends tf.Tensor | tf.Tensor[] = tf.Tensor>(
  kernel: FusedKernel<Attributes, Output>,
): (inputs: Readonly<Record<string, tf.Tensor | undefined>>, attributes: Attributes) => Output {
  const { name, backend, forward, saves, gradient } = kernel;
  tf.registerKernel({
    kernelName: name,
    backendName: backend,
    kernelFunc({ inputs, attrs }) {
      const { attributes, hidden } = attrs as unknown as Call<Attributes>;
      return forward(inputs as unknown as Record<string, tf.Tensor>, attributes, tensors =>
        hidden.push(...tensors),
      );
    },
  });
  tf.registerGradient({
    kernelName: name,
    inputsToSave: [...saves.inputs],
    outputsToSave: [saves.output],
    gradFunc: (dy, saved, attrs) =>
      gradient(Array.isArray(dy) ? dy : [dy], saved, (attrs as unknown as Call<Attributes>).attributes),
  });
  return (inputs, attributes) => {
    const present: tf.NamedTensorMap = {};
    for (const [key, tensor] of Object.entries(inputs)) if (tensor !== undefined) present[key] = tensor;
    const hidden: tf.Tensor[] = [];
    const isTaped = isTapeOn();
    const call: Call<Attributes> = { attributes, hidden };
    const output = tf.engine().runKernel(name, present, call as unknown as tf.NamedAttrMap) as Output;
    if (isTaped) saveWithLastNode(hidden.map(tensor => tf.keep(tensor)));
    else tf.dispose(hidden);
    return output;
  };
}

/**
 * Computes something for several thunks once, when the first of them needs it. It then lives as long as what the tape
 * saved for the node, so that a thunk that is called much later still finds it.
 */
export function sharing(saved: tf.Tensor[], compute: () => tf.Tensor[]): () => tf.Tensor[] {
  let results: tf.Tensor[] | undefined;
  return () => {
    if (results === undefined) {
      results = compute().map(tensor => tf.keep(tensor));
      saved.push(...results);
    }
    return results;
  };
}
