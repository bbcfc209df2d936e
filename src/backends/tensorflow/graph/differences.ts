/** Holding what a graph computes against what its ops compute one by one. */
import { tf } from '../../../tf.js';
import { GraphRunError } from './graph.js';

/**
 * Whether a graph does what its ops have just done one by one, on the same numbers; warns if not. One that does not even run is
 * one that TensorFlow's graph optimizer broke, too: its ops ran.
 *
 * @param what the graph computes; without it nobody is warned
 * @param check runs the graph and compares
 */
export function isFaithful(what: string | undefined, check: () => boolean): boolean {
  let failure = '';
  try {
    if (check()) return true;
  } catch (error) {
    if (!(error instanceof GraphRunError)) throw error;
    failure = ` (TensorFlow does not run the graph: ${error.message})`;
  }
  if (what === undefined) return false;
  process.emitWarning(
    `TensorFlow's graph optimizer changes what '${what}' computes${failure}, so it runs op by op, which is slower.`,
    { code: 'MILLRACE_GRAPH_DIFFERS' },
  );
  return false;
}

/** Rounding differs by less of a tensor's largest number; a wrong operation by more. */
const TOLERANCE = 1e-3;
/** Of the largest number of all results: what is zero but for rounding, such as the gradient of a bias that a norm takes away. */
const NOISE = 1e-6;

/** Whether what a graph gives is what its ops gave one by one. */
export function areAlike(actual: readonly tf.Tensor[], expected: readonly tf.Tensor[]): boolean {
  const references = expected.map(tensor => tensor.dataSync());
  const largest = references.map(largestOf);
  const noise = NOISE * Math.max(0, ...largest);
  return expected.every((tensor, index) => {
    const other = actual[index]!;
    if (other.dtype !== tensor.dtype || !tf.util.arraysEqual(other.shape, tensor.shape)) return false;
    return areClose(other.dataSync(), references[index]!, TOLERANCE * largest[index]! + noise);
  });
}

function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let place = 0; place < values.length; place++) {
    const size = Math.abs(values[place]!);
    if (Number.isFinite(size)) largest = Math.max(largest, size);
  }
  return largest;
}

/** What is not finite only has to be so in both. */
function areClose(values: ArrayLike<number>, references: ArrayLike<number>, tolerance: number): boolean {
  for (let place = 0; place < references.length; place++) {
    const [value, reference] = [values[place]!, references[place]!];
    const isClose = Number.isFinite(reference)
      ? Math.abs(value - reference) <= tolerance
      : !Number.isFinite(value);
    if (!isClose) return false;
  }
  return true;
}
