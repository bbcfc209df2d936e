/**
 * A computation in several parts that run one after the other, each as one graph, and may read what earlier ones have made: a
 * forward pass, the gradients of its inputs, and those of its weights.
 */
import type * as tf from '@tensorflow/tfjs';
import { MillraceError } from '../errors.js';

export interface GraphPart {
  /**
   * What it reads, by number. Numbers count the tensors that the computation is given, then everything that the parts before
   * have given, in the order of the parts.
   */
  readonly reads: readonly number[];
  /**
   * Runs the part on what it reads, in the order of `reads`. Gives what the recorded part returned, then what later parts read
   * of its intermediate results; all of it is the caller's.
   */
  run(values: readonly tf.Tensor[]): tf.Tensor[];
}

/**
 * Records the parts of a computation by running it twice.
 *
 * @param name for warnings; without it there are none
 * @param given what the computation may read
 * @param begin begins the computation anew, on tensors that stand for those given, or on these themselves where they are
 *   variables; the functions it returns are its parts, called in this order. They must compute the same operations each time.
 * @returns `undefined`, with a warning where there is a name, if the engine does not compute as graphs what it computes op by op
 * @throws NotTraceableError if the computation depends on more than what is given
 */
export type RecordParts = (
  name: string | undefined,
  given: readonly tf.Tensor[],
  begin: (given: readonly tf.Tensor[]) => readonly (() => readonly tf.Tensor[])[],
) => readonly GraphPart[] | undefined;

/** A computation cannot be a graph: what it does depends on more than the shapes of its inputs. */
export class NotTraceableError extends MillraceError {
  constructor(readonly reason: string) {
    super('MILLRACE_NOT_TRACEABLE', `This cannot become a TensorFlow graph: ${reason}.`);
  }
}
