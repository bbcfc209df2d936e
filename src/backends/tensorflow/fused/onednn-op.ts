/**
 * Ops of oneDNN's that TensorFlow does not offer by themselves: it puts them into graphs, or, of some, never does.
 *
 * Not every build has them: those for ARM do not, and `TF_ENABLE_ONEDNN_OPTS=0` switches them off.
 */
import { tf } from '../../../tf.js';
import { isRecording } from '../graph/index.js';
import { type Attribute, rawOps } from '../raw-ops.js';

/** By this oneDNN's kernels are found for tensors in TensorFlow's layout. */
export function oneDnnKernel(): Attribute {
  return rawOps().string('_kernel', 'MklNameChangeOp');
}

/** @returns a function that says whether there is an op that does what `isRight` asks of it, which is asked once */
export function hasOneDnnOp(isRight: () => boolean): () => boolean {
  let answer: boolean | undefined;
  return () => {
    // Nothing can be compared then, and that would be taken for an answer.
    if (isRecording()) return false;
    answer ??= process.env['TF_ENABLE_ONEDNN_OPTS'] !== '0' && tf.tidy(() => succeeds(isRight));
    return answer;
  };
}

function succeeds(isRight: () => boolean): boolean {
  try {
    return isRight();
  } catch {
    return false;
  }
}
