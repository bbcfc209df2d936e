/** The warning of whoever cannot make graphs. */
import type { BackendError } from '../../../errors.js';

let hasWarned = false;

/** Once: what is wrong with one graph is wrong with all. */
export function warnOfMissingGraphs({ message }: BackendError): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(`${message} Until then layers run op by op, which is slower.`, {
    code: 'MILLRACE_NO_GRAPHS',
  });
}
