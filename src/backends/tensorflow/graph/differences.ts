/** Holding what a graph computes against what its ops compute one by one. */
import * as tf from '@tensorflow/tfjs';

export function warnOfDifference(what: string): void {
  process.emitWarning(
    `TensorFlow's graph optimizer changes what '${what}' computes, so it runs op by op, which is slower.`,
    { code: 'MILLRACE_GRAPH_DIFFERS' },
  );
}

/** Rounding differs by less; a wrong operation by more. */
const TOLERANCE = 1e-3;

/** Whether what a graph gives is what its ops gave one by one. */
export function areAlike(actual: readonly tf.Tensor[], expected: readonly tf.Tensor[]): boolean {
  return expected.every((tensor, index) => {
    const other = actual[index]!;
    if (other.dtype !== tensor.dtype || !tf.util.arraysEqual(other.shape, tensor.shape)) return false;
    return areClose(other.dataSync(), tensor.dataSync());
  });
}

/** Differences are measured by the largest number; what is not finite only has to be so in both. */
function areClose(values: ArrayLike<number>, references: ArrayLike<number>): boolean {
  let largest = 0;
  for (let place = 0; place < references.length; place++) {
    const size = Math.abs(references[place]!);
    if (Number.isFinite(size)) largest = Math.max(largest, size);
  }
  for (let place = 0; place < references.length; place++) {
    const [value, reference] = [values[place]!, references[place]!];
    const isClose = Number.isFinite(reference)
      ? Math.abs(value - reference) <= TOLERANCE * largest
      : !Number.isFinite(value);
    if (!isClose) return false;
  }
  return true;
}
