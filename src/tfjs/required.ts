/** Fails by name where the user's tfjs has not what this room relies on. */

import { MillraceError } from '../errors.js';
import { tf } from '../tf.js';

export function required<T>(value: T | null | undefined, member: string): T {
  if (value === null || value === undefined) {
    throw new MillraceError(
      'MILLRACE_TFJS',
      `TensorFlow.js ${tf.version_core} has no ${member}, which Millrace relies on. ` +
        'Install @tensorflow/tfjs ~4.22.0, and only one copy of it.',
    );
  }
  return value;
}
